// Where counting of instructions begins and ends, for a program that runs in valgrind's callgrind. Elsewhere it does
// nothing. https://valgrind.org/docs/manual/cl-manual.html#cl-manual.clientrequests
#include <valgrind/callgrind.h>

void begin(void) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

// Writes the instructions since `begin` down under a name.
void end(const char *name) {
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
}
