// A canned upstream for the benchmark: one thread, epoll, ready-made bytes, so that it costs almost nothing itself.
//
//   mock PORT
//
// POST /v1/messages is answered as Anthropic Messages, /v1/responses as OpenAI Responses, /v1/models/... as Gemini, any
// other POST as OpenAI Chat Completions; with events when the body holds "stream":true, or the path says so.
// GET /set?events=500&pace=20&text=50 sets the number of events of a stream, the milliseconds between them (0: as fast as
// they are read, round robin over the streams, one write per event) and how many percent of them are text; the others are
// a tool call's arguments.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 16384, MAX_EVENTS = 5000, WHEEL = 4096 };  // WHEEL: slots of a millisecond
enum { PAYLOAD = 256 * 1024 };                                // bytes of the longest event
enum form { CHAT, MESSAGES, RESPONSES, GEMINI, FORMS };

struct bytes {
    char *start;
    size_t size;
};

struct script {  // the chunks of one streamed answer, the last one being the end of the chunked coding
    struct bytes chunks[MAX_EVENTS + 16];
    int size;
};

struct connection {
    int fd;
    char *buffer;  // what was received and not yet answered
    size_t length, capacity;
    const struct script *script;  // the answer being streamed, or null
    int next, pace, blocked;
    size_t sent;  // of the next chunk
    struct connection **list, *after, *before;  // where it waits for its next turn
};

static struct connection *connections[MAX_FDS];
static struct connection *ready;         // streams without a pace
static struct connection *wheel[WHEEL];  // streams with one, by the millisecond of their next event
static struct script scripts[FORMS];
static struct bytes replies[FORMS], stream_head, empty_reply;
static int poll_fd, events = 500, pace, text_percent = 50;
static long tick;

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000L + now.tv_nsec / 1000000;
}

static struct bytes copied(const char *text) {
    struct bytes copy = {strdup(text), strlen(text)};
    return copy;
}

__attribute__((format(printf, 2, 3))) static void add(struct script *script, const char *format, ...) {
    static char payload[PAYLOAD], chunk[PAYLOAD + 64];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(payload, sizeof payload, format, arguments);
    va_end(arguments);
    snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", size, payload);
    script->chunks[script->size++] = copied(chunk);
}

static void clear(struct script *script) {
    while (script->size) free(script->chunks[--script->size].start);
}

static const char *const WORDS[] = {" the",  " model", " writes",      " \\\"quoted\\\"", " text", " in",   " small",  " pieces",
                                    ",\\n", " and",   " caf\\u00e9", " then",           " some", " more", " tokens", "."};

static const char CHUNK[] =
    "data: {\"id\":\"chatcmpl-BenchAbCdEfGhIjKlMnOpQrStUv\",\"object\":\"chat.completion.chunk\",\"created\":1763600000,"
    "\"model\":\"some-model-2026-11-20\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\",";

// A piece of the arguments of a tool call, as text in JSON.
static const char *argument(int i, int pieces) {
    if (i == 0) return "{\\\"file_path\\\":\\\"/tmp/a.py\\\",\\\"content\\\":\\\"";
    return i == pieces - 1 ? "\\\"}" : "def f():";
}

static void write_chat(struct script *script) {
    const char *call = "\"index\":0,\"id\":\"call_BenchAbCdEfGhIjKlMnOp01\",\"type\":\"function\"";
    int words = events * text_percent / 100, pieces = events - words;
    clear(script);
#define DELTA(delta, reason) \
    "%s\"choices\":[{\"index\":0,\"delta\":{" delta "},\"logprobs\":null,\"finish_reason\":" reason "}],\"usage\":null}\n\n"
    add(script, DELTA("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null"), CHUNK);
    for (int i = 0; i < words; i++) add(script, DELTA("\"content\":\"%s\"", "null"), CHUNK, WORDS[i % 16]);
    add(script, DELTA("\"tool_calls\":[{%s,\"function\":{\"name\":\"Write\",\"arguments\":\"\"}}]", "null"), CHUNK, call);
    for (int i = 0; i < pieces; i++) {
        const char *piece = argument(i, pieces);
        add(script, DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"%s\"}}]", "null"), CHUNK, piece);
    }
    add(script, DELTA("", "\"tool_calls\""), CHUNK);
#undef DELTA
    add(script,
        "%s\"choices\":[],\"usage\":{\"prompt_tokens\":48211,\"completion_tokens\":%d,\"total_tokens\":%d,"
        "\"prompt_tokens_details\":{\"cached_tokens\":40000,\"audio_tokens\":0},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}}}\n\n",
        CHUNK, events, 48211 + events);
    add(script, "data: [DONE]\n\n");
    script->chunks[script->size++] = copied("0\r\n\r\n");
}

static void write_messages(struct script *script) {
    int words = events * text_percent / 100, pieces = events - words;
    clear(script);
    add(script,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\","
        "\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
        "\"usage\":{\"input_tokens\":8211,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":40000,"
        "\"output_tokens\":1}}}\n\n");
    add(script,
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
    for (int i = 0; i < words; i++)
        add(script,
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
            "\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n",
            WORDS[i % 16]);
    add(script, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    add(script,
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,"
        "\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_bench\",\"name\":\"Write\",\"input\":{}}}\n\n");
    for (int i = 0; i < pieces; i++)
        add(script,
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,"
            "\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"%s\"}}\n\n",
            argument(i, pieces));
    add(script, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n");
    add(script,
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\","
        "\"stop_sequence\":null},\"usage\":{\"output_tokens\":%d}}\n\n",
        events);
    add(script, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    script->chunks[script->size++] = copied("0\r\n\r\n");
}

// One event of Responses: its name, the fields behind it, and a sequence number.
#define EVENT(name, fields) "event: " name "\ndata: {\"type\":\"" name "\"," fields ",\"sequence_number\":%d}\n\n"
#define RESPONSE(status) \
    "\"response\":{\"id\":\"resp_BenchAbCdEf\",\"object\":\"response\",\"created_at\":1763600000,\"status\":\"" status \
    "\",\"model\":\"some-model-2026-11-20\",\"error\":null,\"incomplete_details\":null"
#define MESSAGE(status, content) \
    "{\"id\":\"msg_BenchAbCdEf\",\"type\":\"message\",\"status\":\"" status "\",\"role\":\"assistant\",\"content\":[" content "]}"
#define PART "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"%s\"}"
#define CALL(status) \
    "{\"id\":\"fc_BenchAbCdEf\",\"type\":\"function_call\",\"status\":\"" status \
    "\",\"name\":\"Write\",\"call_id\":\"call_BenchAbCdEf\",\"arguments\":\"%s\"}"
#define TEXT_AT "\"item_id\":\"msg_BenchAbCdEf\",\"output_index\":0,\"content_index\":0,"
#define CALL_AT "\"item_id\":\"fc_BenchAbCdEf\",\"output_index\":1,"

static void write_responses(struct script *script) {
    static char text[PAYLOAD / 4], arguments[PAYLOAD / 4];
    int words = events * text_percent / 100, pieces = events - words, number = 0;
    clear(script);
    text[0] = arguments[0] = 0;
    add(script, EVENT("response.created", RESPONSE("in_progress") ",\"output\":[],\"usage\":null}"), number++);
    add(script, EVENT("response.in_progress", RESPONSE("in_progress") ",\"output\":[],\"usage\":null}"), number++);
    add(script, EVENT("response.output_item.added", "\"output_index\":0,\"item\":" MESSAGE("in_progress", "")), number++);
    add(script, EVENT("response.content_part.added", TEXT_AT "\"part\":" PART), "", number++);
    for (int i = 0; i < words; i++) {
        strcat(text, WORDS[i % 16]);
        add(script, EVENT("response.output_text.delta", TEXT_AT "\"delta\":\"%s\",\"logprobs\":[]"), WORDS[i % 16], number++);
    }
    add(script, EVENT("response.output_text.done", TEXT_AT "\"text\":\"%s\",\"logprobs\":[]"), text, number++);
    add(script, EVENT("response.content_part.done", TEXT_AT "\"part\":" PART), text, number++);
    add(script, EVENT("response.output_item.done", "\"output_index\":0,\"item\":" MESSAGE("completed", PART)), text, number++);
    add(script, EVENT("response.output_item.added", "\"output_index\":1,\"item\":" CALL("in_progress")), "", number++);
    for (int i = 0; i < pieces; i++) {
        const char *piece = argument(i, pieces);
        strcat(arguments, piece);
        add(script, EVENT("response.function_call_arguments.delta", CALL_AT "\"delta\":\"%s\""), piece, number++);
    }
    add(script, EVENT("response.function_call_arguments.done", CALL_AT "\"arguments\":\"%s\""), arguments, number++);
    add(script, EVENT("response.output_item.done", "\"output_index\":1,\"item\":" CALL("completed")), arguments, number++);
    add(script,
        EVENT("response.completed", RESPONSE("completed") ",\"output\":[" MESSAGE("completed", PART) "," CALL("completed")
              "],\"usage\":{\"input_tokens\":48211,\"input_tokens_details\":{\"cached_tokens\":40000},"
              "\"output_tokens\":%d,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%d}}"),
        text, arguments, events, 48211 + events, number);
    script->chunks[script->size++] = copied("0\r\n\r\n");
}

// Gemini has no pieces of arguments: all but the last of its events are text. Every one tells the counts so far.
static void write_gemini(struct script *script) {
    clear(script);
#define CANDIDATE(parts, reason) \
    "data: {\"candidates\": [{\"content\": {\"parts\": [" parts "],\"role\": \"model\"}," reason "\"index\": 0}]," \
    "\"usageMetadata\": {\"promptTokenCount\": 48211,\"candidatesTokenCount\": %d,\"totalTokenCount\": %d," \
    "\"cachedContentTokenCount\": 40000,\"promptTokensDetails\": [{\"modality\": \"TEXT\",\"tokenCount\": 48211}]}," \
    "\"modelVersion\": \"some-model\",\"responseId\": \"BenchAbCdEfGhIjKlMn\"}\r\n\r\n"
    for (int i = 0; i < events; i++)
        add(script, CANDIDATE("{\"text\": \"%s\"}", ""), WORDS[i % 16], i + 1, 48212 + i);
    add(script,
        CANDIDATE("{\"functionCall\": {\"name\": \"Write\",\"args\": {\"file_path\": \"/tmp/a.py\",\"content\": "
                  "\"def f():\"}},\"thoughtSignature\": \"QmVuY2hBYkNkRWZHaElqS2xNbk9w\"}",
                  "\"finishReason\": \"STOP\","),
        events + 20, 48231 + events);
#undef CANDIDATE
    script->chunks[script->size++] = copied("0\r\n\r\n");
}

static struct bytes reply(const char *json) {
    char text[4096];
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(json), json);
    return copied(text);
}

static void write_replies(void) {
    stream_head = copied(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
        "x-request-id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n");
    empty_reply = reply("{}");
    replies[CHAT] = reply(
        "{\"id\":\"chatcmpl-BenchAbCdEfGhIjKlMnOpQrStUv\",\"object\":\"chat.completion\",\"created\":1763600000,"
        "\"model\":\"some-model-2026-11-20\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"I'll look at the file first.\",\"refusal\":null,\"annotations\":[],\"tool_calls\":[{"
        "\"id\":\"call_BenchAbCdEfGhIjKlMnOp01\",\"type\":\"function\",\"function\":{\"name\":\"Read\","
        "\"arguments\":\"{\\\"file_path\\\":\\\"/tmp/a.py\\\",\\\"limit\\\":100}\"}}]},\"logprobs\":null,"
        "\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":48211,\"completion_tokens\":33,"
        "\"total_tokens\":48244,\"prompt_tokens_details\":{\"cached_tokens\":40000,\"audio_tokens\":0}},"
        "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\"}");
    replies[RESPONSES] = reply(
        "{\"id\":\"resp_BenchAbCdEf\",\"object\":\"response\",\"created_at\":1763600000,\"status\":\"completed\","
        "\"model\":\"some-model-2026-11-20\",\"error\":null,\"incomplete_details\":null,\"output\":[{"
        "\"id\":\"msg_BenchAbCdEf\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{"
        "\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"I'll look at the file first.\"}]},{"
        "\"id\":\"fc_BenchAbCdEf\",\"type\":\"function_call\",\"status\":\"completed\",\"name\":\"Read\","
        "\"call_id\":\"call_BenchAbCdEf\",\"arguments\":\"{\\\"file_path\\\":\\\"/tmp/a.py\\\",\\\"limit\\\":100}\"}],"
        "\"usage\":{\"input_tokens\":48211,\"input_tokens_details\":{\"cached_tokens\":40000},\"output_tokens\":33,"
        "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":48244},\"service_tier\":\"default\"}");
    replies[GEMINI] = reply(
        "{\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"I'll look at the file first.\"},{\"functionCall\": "
        "{\"name\": \"Read\",\"args\": {\"file_path\": \"/tmp/a.py\",\"limit\": 100}},\"thoughtSignature\": "
        "\"QmVuY2hBYkNkRWZHaElqS2xNbk9w\"}],\"role\": \"model\"},\"finishReason\": \"STOP\",\"index\": 0}],"
        "\"usageMetadata\": {\"promptTokenCount\": 48211,\"candidatesTokenCount\": 33,\"totalTokenCount\": 48244,"
        "\"cachedContentTokenCount\": 40000},\"modelVersion\": \"some-model\",\"responseId\": \"BenchAbCdEfGhIjKlMn\"}");
    replies[MESSAGES] = reply(
        "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\","
        "\"content\":[{\"type\":\"text\",\"text\":\"I'll look at the file first.\"},{\"type\":\"tool_use\","
        "\"id\":\"toolu_bench\",\"name\":\"Read\",\"input\":{\"file_path\":\"/tmp/a.py\",\"limit\":100}}],"
        "\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":8211,"
        "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":40000,\"output_tokens\":33}}");
}

static void leave_list(struct connection *connection) {
    if (!connection->list) return;
    if (connection->before) connection->before->after = connection->after;
    else *connection->list = connection->after;
    if (connection->after) connection->after->before = connection->before;
    connection->list = NULL;
    connection->after = connection->before = NULL;
}

static void enter_list(struct connection *connection, struct connection **list) {
    connection->list = list;
    connection->before = NULL;
    connection->after = *list;
    if (*list) (*list)->before = connection;
    *list = connection;
}

static void drop(struct connection *connection) {
    leave_list(connection);
    connections[connection->fd] = NULL;
    close(connection->fd);
    free(connection->buffer);
    free(connection);
}

static void watch(struct connection *connection, int writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.fd = connection->fd};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

// Writes one event, with the end of the body right behind the last one. Returns 0 when the connection is gone.
static int step(struct connection *connection) {
    const struct script *script = connection->script;
    do {
        const struct bytes *chunk = &script->chunks[connection->next];
        ssize_t written = write(connection->fd, chunk->start + connection->sent, chunk->size - connection->sent);
        if (written < 0 && errno != EAGAIN) {
            drop(connection);
            return 0;
        }
        connection->sent += written > 0 ? (size_t)written : 0;
        if (connection->sent < chunk->size) {
            connection->blocked = 1;
            watch(connection, 1);
            return 1;
        }
        connection->sent = 0;
        connection->next++;
    } while (connection->next == script->size - 1);
    if (connection->next == script->size) connection->script = NULL;
    else if (connection->pace) enter_list(connection, &wheel[(tick + connection->pace) % WHEEL]);
    else enter_list(connection, &ready);
    return 1;
}

// Answers a request; a reply that does not fit into the socket's buffer ends the connection. Returns 0 when it is gone.
static int answer(struct connection *connection, enum form form, int streaming, const char *body, size_t size) {
    streaming |= memmem(body, size, "\"stream\":true", 13) || memmem(body, size, "\"stream\": true", 14);
    struct bytes head = streaming ? stream_head : replies[form];
    if (write(connection->fd, head.start, head.size) != (ssize_t)head.size) {
        drop(connection);
        return 0;
    }
    if (streaming) {
        connection->script = &scripts[form];
        connection->next = 0;
        connection->pace = pace < WHEEL ? pace : WHEEL - 1;
        enter_list(connection, pace ? &wheel[(tick + connection->pace) % WHEEL] : &ready);
    }
    return 1;
}

// The number behind a name in the query of a path, or what it is now.
static int number_of(const char *line, const char *name, int now) {
    const char *found = strstr(line, name);
    return found ? atoi(found + strlen(name)) : now;
}

static void set(const char *line) {
    int wanted = number_of(line, "events=", events), text = number_of(line, "text=", text_percent);
    pace = number_of(line, "pace=", pace);
    if (wanted < 2 || wanted > MAX_EVENTS || text < 0 || text > 100) return;
    if (wanted == events && text == text_percent) return;
    events = wanted;
    text_percent = text;
    write_chat(&scripts[CHAT]);
    write_messages(&scripts[MESSAGES]);
    write_responses(&scripts[RESPONSES]);
    write_gemini(&scripts[GEMINI]);
}

// Answers the complete requests in the buffer, one after the other. Returns 0 when the connection is gone.
static int answer_all(struct connection *connection) {
    while (!connection->script) {
        char *end = memmem(connection->buffer, connection->length, "\r\n\r\n", 4);
        if (!end) return 1;
        size_t head = (size_t)(end - connection->buffer) + 4, size = 0;
        *end = 0;
        const char *length = strcasestr(connection->buffer, "\ncontent-length:");
        if (length) size = strtoul(length + 16, NULL, 10);
        int reading = !strncmp(connection->buffer, "GET ", 4);
        char *line_end = strstr(connection->buffer, "\r\n");
        if (line_end) *line_end = 0;
        enum form form = strstr(connection->buffer, "/v1/messages")    ? MESSAGES
                         : strstr(connection->buffer, "/v1/responses") ? RESPONSES
                         : strstr(connection->buffer, "/v1/models/")   ? GEMINI
                                                                       : CHAT;
        int streaming = strstr(connection->buffer, ":streamGenerateContent") != NULL;
        if (reading) set(connection->buffer);
        if (line_end) *line_end = '\r';
        *end = '\r';
        if (connection->length < head + size) {
            if (connection->capacity < head + size + 1) {
                connection->capacity = head + size + 4096;
                connection->buffer = realloc(connection->buffer, connection->capacity);
            }
            return 1;
        }
        if (!reading && !answer(connection, form, streaming, connection->buffer + head, size)) return 0;
        if (reading && write(connection->fd, empty_reply.start, empty_reply.size) < 0) {
            drop(connection);
            return 0;
        }
        connection->length -= head + size;
        memmove(connection->buffer, connection->buffer + head + size, connection->length);
    }
    return 1;
}

static void receive(struct connection *connection) {
    for (;;) {
        if (connection->capacity - connection->length < 8192) {
            connection->capacity *= 2;
            connection->buffer = realloc(connection->buffer, connection->capacity);
        }
        size_t room = connection->capacity - connection->length - 1;
        ssize_t got = read(connection->fd, connection->buffer + connection->length, room);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            drop(connection);
            return;
        }
        if (got > 0) connection->length += (size_t)got;
        connection->buffer[connection->length] = 0;
        if (got < (ssize_t)room) break;
    }
    answer_all(connection);
}

static void welcome(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *connection = calloc(1, sizeof *connection);
        connection->fd = fd;
        connection->capacity = 16384;
        connection->buffer = malloc(connection->capacity);
        connections[fd] = connection;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

static void move_on(struct connection *connection) {
    if (step(connection) && !connection->script && connection->length) answer_all(connection);
}

// Gives every stream of a list its turn; those that have another one enter a list again.
static void run(struct connection **list) {
    struct connection *turn = *list;
    *list = NULL;
    for (struct connection *each = turn; each; each = each->after) each->list = &turn;
    while (turn) {
        struct connection *connection = turn;
        leave_list(connection);
        move_on(connection);
    }
}

int main(int count, char **arguments) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(count > 1 ? atoi(arguments[1]) : 9100)};
    struct epoll_event found[512];
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    signal(SIGPIPE, SIG_IGN);
    write_replies();
    write_chat(&scripts[CHAT]);
    write_messages(&scripts[MESSAGES]);
    write_responses(&scripts[RESPONSES]);
    write_gemini(&scripts[GEMINI]);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
        perror("mock: cannot listen");
        return 1;
    }
    poll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
    tick = milliseconds();
    for (;;) {
        int size = epoll_wait(poll_fd, found, 512, ready ? 0 : 1);
        for (int i = 0; i < size; i++) {
            int fd = found[i].data.fd;
            if (fd == listener) {
                welcome(listener);
                continue;
            }
            struct connection *connection = connections[fd];
            if (connection && found[i].events & EPOLLOUT && connection->blocked) {
                connection->blocked = 0;
                watch(connection, 0);
                move_on(connection);
                connection = connections[fd];
            }
            if (connection && found[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(connection);
        }
        run(&ready);
        for (long now = milliseconds(); tick < now;) run(&wheel[++tick % WHEEL]);
    }
}
