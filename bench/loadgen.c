// The benchmark's client: one thread, epoll, HTTP/1.1, a fixed number of connections that each send the next request
// when the last answer is complete.
//
//   loadgen -p PORT -c CONNECTIONS -d SECONDS -f BODY [-w WARM_UP] [-r RAMP] [-u PATH] [-q PID,PID...] [-s]
//
// After WARM_UP seconds it measures for SECONDS: requests finished, events (blank lines) received, latencies, and the
// CPU time that the processes of -q used meanwhile, from /proc/PID/stat. RAMP spreads the first requests over so many
// seconds. With -s, an answer without message_stop is an error. Prints one line of JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 16384, TAIL = 512, SAMPLES = 1000000, SPAN = 20 };  // SPAN: milliseconds between looks at the clock
enum state { IDLE, SENDING, RECEIVING };
enum chunk { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, LAST_CHUNK };

struct connection {
    int fd;
    enum state state;
    size_t sent;
    double begun, first;  // seconds; when the request began, when the body did
    char head[HEAD];
    size_t head_size;
    int in_body, status, closing, chunked, line_ended;
    enum chunk chunk;
    long length, got, chunk_left, events;
    char tail[TAIL];
    size_t tail_size;
};

static const char *path = "/v1/messages", *body_file, *pids = "";
static int port = 8082, count = 1, streams;
static double measure = 2, warm_up = 0.3, ramp;
static int poll_fd, measuring, over;
static char *request;
static size_t request_size;
static long finished, failed, events;
static double *latencies, *firsts;
static long latency_count, first_count;
static char error[256];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

// User and system seconds of the processes of -q so far.
static double cpu(void) {
    double ticks = 0;
    char *list = strdup(pids), *rest = NULL;
    for (char *pid = strtok_r(list, ",", &rest); pid; pid = strtok_r(NULL, ",", &rest)) {
        char name[64], text[1024];
        snprintf(name, sizeof name, "/proc/%s/stat", pid);
        FILE *file = fopen(name, "r");
        if (!file) continue;
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
        const char *fields = strrchr(text, ')');  // the process's name may hold blanks
        long user, system;
        if (fields && sscanf(fields + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system) == 2)
            ticks += (double)(user + system);
    }
    free(list);
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

static void note_error(const char *what, const struct connection *connection) {
    failed++;
    if (!*error) snprintf(error, sizeof error, "%s: status %d, %.150s", what, connection->status, connection->tail);
}

static void watch(struct connection *connection, int writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = connection};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

static void hang_up(struct connection *connection) {
    close(connection->fd);
    connection->fd = -1;
}

static void begin(struct connection *connection) {
    int fd = connection->fd;
    memset(connection, 0, offsetof(struct connection, head));
    connection->head_size = connection->tail_size = 0;
    connection->in_body = connection->status = connection->closing = connection->chunked = connection->line_ended = 0;
    connection->chunk = CHUNK_SIZE;
    connection->length = -1;
    connection->got = connection->chunk_left = connection->events = 0;
    connection->fd = fd;
    connection->state = SENDING;
    connection->begun = now();
}

static void dial(struct connection *connection) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int one = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (connect(connection->fd, (void *)&address, sizeof address) && errno != EINPROGRESS) {
        note_error("cannot connect", connection);
        hang_up(connection);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = connection};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, connection->fd, &event);
    begin(connection);
}

// Returns 0 when the connection is broken.
static int send_on(struct connection *connection) {
    while (connection->sent < request_size) {
        ssize_t sent =
            send(connection->fd, request + connection->sent, request_size - connection->sent, MSG_NOSIGNAL);
        if (sent < 0) {
            watch(connection, 1);
            return errno == EAGAIN;
        }
        connection->sent += (size_t)sent;
    }
    connection->state = RECEIVING;
    watch(connection, 0);
    return 1;
}

static void take_payload(struct connection *connection, const char *bytes, size_t size, double time) {
    if (!size) return;
    if (!connection->first) connection->first = time;
    long before = connection->events;
    for (const char *at = bytes, *end = bytes + size; at < end; at++) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        if (line != at) connection->line_ended = 0;
        if (!line) break;
        if (connection->line_ended) connection->events++;
        connection->line_ended = !connection->line_ended;
        at = line;
    }
    if (measuring) events += connection->events - before;
    size_t keep = size >= TAIL ? 0 : connection->tail_size + size < TAIL ? connection->tail_size : TAIL - 1 - size;
    size_t fresh = size >= TAIL ? TAIL - 1 : size;
    memmove(connection->tail, connection->tail + connection->tail_size - keep, keep);
    memcpy(connection->tail + keep, bytes + size - fresh, fresh);
    connection->tail_size = keep + fresh;
    connection->tail[connection->tail_size] = 0;
    connection->got += (long)size;
}

// Takes what belongs to the head. Returns how many of the bytes that were.
static size_t take_head(struct connection *connection, const char *bytes, size_t size) {
    size_t old = connection->head_size, room = HEAD - 1 - old, taken = size < room ? size : room;
    memcpy(connection->head + old, bytes, taken);
    connection->head_size += taken;
    connection->head[connection->head_size] = 0;
    char *end = strstr(connection->head, "\r\n\r\n");
    if (!end) return taken;
    end[2] = 0;
    connection->in_body = 1;
    connection->status = atoi(connection->head + 9);
    const char *length = strcasestr(connection->head, "\ncontent-length:");
    if (length) connection->length = atol(length + 16);
    connection->chunked = strcasestr(connection->head, "\ntransfer-encoding:") != NULL;
    connection->closing = strcasestr(connection->head, "\nconnection: close") != NULL;
    return (size_t)(end - connection->head) + 4 - old;
}

static int hex_digit(char digit) {
    return digit >= '0' && digit <= '9' ? digit - '0' : (digit | 32) >= 'a' && (digit | 32) <= 'f' ? (digit | 32) - 'a' + 10 : -1;
}

// Returns 1 when the answer is complete.
static int take_chunks(struct connection *connection, const char *bytes, size_t size, double time) {
    for (const char *end = bytes + size; bytes < end;) {
        if (connection->chunk == CHUNK_DATA) {
            size_t left = (size_t)(end - bytes);
            size_t taken = left < (size_t)connection->chunk_left ? left : (size_t)connection->chunk_left;
            take_payload(connection, bytes, taken, time);
            bytes += taken;
            connection->chunk_left -= (long)taken;
            if (!connection->chunk_left) connection->chunk = CHUNK_END;
            continue;
        }
        char next = *bytes++;
        if (next != '\n') {
            int digit = connection->chunk == CHUNK_SIZE ? hex_digit(next) : -1;
            if (digit >= 0) connection->chunk_left = connection->chunk_left * 16 + digit;
        } else if (connection->chunk == LAST_CHUNK) {
            return 1;
        } else if (connection->chunk == CHUNK_END) {
            connection->chunk = CHUNK_SIZE;
        } else {
            connection->chunk = connection->chunk_left ? CHUNK_DATA : LAST_CHUNK;
        }
    }
    return 0;
}

// Returns 1 when the answer is complete.
static int take(struct connection *connection, const char *bytes, size_t size, double time) {
    if (!connection->in_body) {
        size_t taken = take_head(connection, bytes, size);
        if (!connection->in_body) return 0;
        bytes += taken;
        size -= taken;
    }
    if (connection->chunked) return take_chunks(connection, bytes, size, time);
    take_payload(connection, bytes, size, time);
    return connection->length >= 0 && connection->got >= connection->length;
}

static void finish(struct connection *connection) {
    double time = now();
    if (connection->status != 200) {
        note_error("refused", connection);
    } else if (streams && !strstr(connection->tail, "message_stop")) {
        note_error("no message_stop", connection);
    } else if (measuring) {
        finished++;
        if (latency_count < SAMPLES) latencies[latency_count++] = time - connection->begun;
        if (connection->first && first_count < SAMPLES) firsts[first_count++] = connection->first - connection->begun;
    }
}

// Takes what there is to read. Returns 0 when the connection broke before the answer was complete.
static int read_on(struct connection *connection) {
    static char bytes[262144];
    ssize_t size = read(connection->fd, bytes, sizeof bytes);
    if (size < 0) return errno == EAGAIN;
    if (size == 0 || connection->state != RECEIVING) return 0;
    if (!take(connection, bytes, (size_t)size, now())) return 1;
    finish(connection);
    if (over) {
        connection->state = IDLE;
    } else if (connection->closing) {
        hang_up(connection);
        dial(connection);
    } else {
        begin(connection);
        return send_on(connection);
    }
    return 1;
}

static int by_value(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return (difference > 0) - (difference < 0);
}

static double quantile(double *values, long size, double part) {
    if (!size) return 0;
    qsort(values, (size_t)size, sizeof *values, by_value);
    return values[(long)(part * (double)(size - 1) + 0.5)] * 1e3;
}

static int read_request(void) {
    FILE *file = fopen(body_file ? body_file : "", "rb");
    if (!file) {
        perror("loadgen: cannot read the body");
        return 0;
    }
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    request = malloc(size + 4096);
    int head = snprintf(request, 4096,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: bench\r\nAccept: application/json\r\n"
                        "Content-Type: application/json\r\nanthropic-version: 2023-06-01\r\nx-api-key: bench\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        path, port, size);
    request_size = (size_t)head + size;
    int complete = fread(request + head, 1, size, file) == size;
    fclose(file);
    return complete;
}

static void read_options(int argument_count, char **arguments) {
    int option;
    while ((option = getopt(argument_count, arguments, "p:c:d:w:r:f:u:q:s")) > 0) switch (option) {
            case 'p': port = atoi(optarg); break;
            case 'c': count = atoi(optarg); break;
            case 'd': measure = atof(optarg); break;
            case 'w': warm_up = atof(optarg); break;
            case 'r': ramp = atof(optarg); break;
            case 'f': body_file = optarg; break;
            case 'u': path = optarg; break;
            case 'q': pids = optarg; break;
            case 's': streams = 1; break;
            default: exit(2);
        }
}

int main(int argument_count, char **arguments) {
    struct epoll_event found[512];
    double cpu_before = 0, cpu_after = 0, from = 0;
    int opened = 0;
    read_options(argument_count, arguments);
    signal(SIGPIPE, SIG_IGN);
    if (!read_request()) return 1;
    latencies = malloc(SAMPLES * sizeof *latencies);
    firsts = malloc(SAMPLES * sizeof *firsts);
    poll_fd = epoll_create1(0);
    struct connection *connections = calloc((size_t)count, sizeof *connections);
    double start = now(), until = 0;
    while (!over) {
        double time = now();
        while (opened < count && time - start >= ramp * opened / count) dial(&connections[opened++]);
        if (!measuring && time - start >= warm_up) {
            measuring = 1;
            cpu_before = cpu();
            from = now();
            until = from + measure;
        }
        if (measuring && time >= until) {
            measuring = 0;
            over = 1;
            cpu_after = cpu();
            until = now();
        }
        int size = epoll_wait(poll_fd, found, 512, opened < count ? 1 : SPAN);
        for (int i = 0; i < size; i++) {
            struct connection *connection = found[i].data.ptr;
            if (connection->fd < 0) continue;
            int alive = 1;
            if (found[i].events & EPOLLOUT && connection->state == SENDING) alive = send_on(connection);
            if (alive && connection->fd >= 0 && found[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                alive = read_on(connection);
            if (!alive) {
                if (!over) note_error("the connection broke", connection);
                hang_up(connection);
                if (!over && failed < 1000) dial(connection);
            }
        }
    }
    for (char *at = error; *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < 32) *at = '\'';
    double seconds = until - from, used = cpu_after - cpu_before;
    printf("{\"seconds\":%.3f,\"requests\":%ld,\"events\":%ld,\"errors\":%ld,\"cpu_seconds\":%.2f,\"cpu_request_us\":%.2f,"
           "\"cpu_event_us\":%.3f,\"latency_p50_ms\":%.3f,\"latency_p99_ms\":%.3f,\"first_byte_p50_ms\":%.3f,"
           "\"error\":\"%s\"}\n",
           seconds, finished, events, failed, used, finished ? used / (double)finished * 1e6 : 0,
           events ? used / (double)events * 1e6 : 0, quantile(latencies, latency_count, 0.5),
           quantile(latencies, latency_count, 0.99), quantile(firsts, first_count, 0.5), error);
    return 0;
}
