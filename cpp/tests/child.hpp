// Runs something in a process of its own.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

// True if `body`, called in a forked child, returned true. A child that hangs is killed.
template <class Body>
bool holds_in_child(const Body& body) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(body() ? 0 : 1);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
