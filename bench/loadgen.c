// The benchmark's client: one thread, epoll, HTTP/1.1, a fixed number of connections that each send the next request
// when the last answer is complete.
//
//   loadgen -p PORT -c CONNECTIONS -d SECONDS -f BODIES [-w WARM_UP] [-r RAMP] [-u PATH] [-k KEY] [-q PID,PID...] [-s]
//
// BODIES has one request body a line. They are sent in turn, and in each of them STAMP becomes the number of times that
// the file was gone through: no body is ever sent twice, so that nothing is measured that users do not get.
//
// After WARM_UP seconds it measures for SECONDS: requests finished, events (blank lines) received, latencies, and the
// CPU time that the processes of -q used meanwhile, to the nanosecond. RAMP spreads the first requests over so many
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

enum { HEAD = 16384, TAIL = 512, SAMPLES = 1000000, SPAN = 20, STAMPS = 8 };  // SPAN: milliseconds between looks at the clock
enum state { IDLE, SENDING, RECEIVING };
enum chunk { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, LAST_CHUNK };

struct request {
    char *start;  // head and body
    size_t size, stamps[STAMPS];
    int stamp_count;
};

struct connection {
    int fd;
    enum state state;
    const struct request *request;
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

static const char STAMP[] = "@@@@@@@@@@";
static const char *path = "/v1/messages", *body_file, *key = "bench", *pids = "";
static int port = 8082, count = 1, streams;
static double measure = 2, warm_up = 0.3, ramp;
static int poll_fd, measuring, over;
static struct request *requests;
static long request_count, begun_count;
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
    double seconds = 0;
    char *list = strdup(pids), *rest = NULL;
    for (char *pid = strtok_r(list, ",", &rest); pid; pid = strtok_r(NULL, ",", &rest)) {
        struct timespec time;
        clockid_t clock;
        if (clock_getcpuclockid(atoi(pid), &clock) || clock_gettime(clock, &time)) continue;
        seconds += (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
    }
    free(list);
    return seconds;
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

// The next request, stamped. One that is still being sent may change its number on the way, which does no harm.
static const struct request *next_request(void) {
    struct request *request = &requests[begun_count % request_count];
    char digits[32];
    snprintf(digits, sizeof digits, "%010ld", begun_count / request_count);
    for (int i = 0; i < request->stamp_count; i++) memcpy(request->start + request->stamps[i], digits, sizeof STAMP - 1);
    begun_count++;
    return request;
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
    connection->request = next_request();
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
    const struct request *request = connection->request;
    while (connection->sent < request->size) {
        ssize_t sent =
            send(connection->fd, request->start + connection->sent, request->size - connection->sent, MSG_NOSIGNAL);
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

static void add_request(const char *body, size_t size) {
    requests = realloc(requests, (size_t)(request_count + 1) * sizeof *requests);
    struct request *request = &requests[request_count++];
    request->start = malloc(size + 4096);
    int head = snprintf(request->start, 4096,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: bench\r\nAccept: application/json\r\n"
                        "Content-Type: application/json\r\nanthropic-version: 2023-06-01\r\nx-api-key: %s\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        path, port, key, size);
    memcpy(request->start + head, body, size);
    request->size = (size_t)head + size;
    request->stamp_count = 0;
    for (size_t at = (size_t)head; request->stamp_count < STAMPS; at += sizeof STAMP - 1) {
        const char *found = memmem(request->start + at, request->size - at, STAMP, sizeof STAMP - 1);
        if (!found) break;
        at = (size_t)(found - request->start);
        request->stamps[request->stamp_count++] = at;
    }
}

// Returns 0 when there is no body.
static int read_requests(void) {
    FILE *file = fopen(body_file ? body_file : "", "rb");
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    if (!file) {
        perror("loadgen: cannot read the bodies");
        return 0;
    }
    while ((size = getline(&line, &room, file)) > 0) {
        if (line[size - 1] == '\n') size--;
        if (size) add_request(line, (size_t)size);
    }
    free(line);
    fclose(file);
    return request_count > 0;
}

static void read_options(int argument_count, char **arguments) {
    int option;
    while ((option = getopt(argument_count, arguments, "p:c:d:w:r:f:u:k:q:s")) > 0) switch (option) {
            case 'p': port = atoi(optarg); break;
            case 'c': count = atoi(optarg); break;
            case 'd': measure = atof(optarg); break;
            case 'w': warm_up = atof(optarg); break;
            case 'r': ramp = atof(optarg); break;
            case 'f': body_file = optarg; break;
            case 'u': path = optarg; break;
            case 'k': key = optarg; break;
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
    if (!read_requests()) return 1;
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
    printf("{\"seconds\":%.3f,\"requests\":%ld,\"events\":%ld,\"errors\":%ld,\"cpu_seconds\":%.6f,\"cpu_request_us\":%.2f,"
           "\"cpu_event_us\":%.3f,\"latency_p50_ms\":%.3f,\"latency_p99_ms\":%.3f,\"first_byte_p50_ms\":%.3f,\"first_byte_p99_ms\":%.3f,"
           "\"error\":\"%s\"}\n",
           seconds, finished, events, failed, used, finished ? used / (double)finished * 1e6 : 0,
           events ? used / (double)events * 1e6 : 0, quantile(latencies, latency_count, 0.5),
           quantile(latencies, latency_count, 0.99), quantile(firsts, first_count, 0.5), quantile(firsts, first_count, 0.99),
           error);
    return 0;
}
