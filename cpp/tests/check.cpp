#include "check.hpp"

#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

namespace check {
namespace {

struct Test {
    const char* name;
    void (*body)();
};

constexpr int kShown = 20;  // of one test: the rest would bury the first
int failures = 0;

std::vector<Test>& tests() {
    static std::vector<Test> all;
    return all;
}
std::vector<std::string>& notes() {
    static std::vector<std::string> all;
    return all;
}

}  // namespace

Register::Register(const char* name, void (*body)()) { tests().push_back({name, body}); }

Note::~Note() { notes().pop_back(); }
void Note::push(std::string text) { notes().push_back(std::move(text)); }

void fail(const char* file, int line, const std::string& what) {
    if (++failures > kShown) return;
    std::string where;
    for (const std::string& note : notes()) where += note;
    const char* name = std::strrchr(file, '/');
    std::printf("%s:%d:%s: %s\n", name == nullptr ? file : name + 1, line, where.c_str(), what.c_str());
}

}  // namespace check

// With arguments: only the tests of those names.
int main(int argc, char** argv) {
    int failed = 0, run = 0;
    for (const auto& test : check::tests()) {
        bool wanted = argc == 1;
        for (int i = 1; i < argc; ++i) wanted |= std::strcmp(argv[i], test.name) == 0;
        if (!wanted) continue;
        check::failures = 0;
        try {
            test.body();
        } catch (const std::exception& error) {
            check::fail(test.name, 0, std::string("unexpected exception: ") + error.what());
        }
        std::printf("%s %s", check::failures == 0 ? "ok    " : "FAILED", test.name);
        std::printf(check::failures == 0 ? "\n" : " (%d checks)\n", check::failures);
        std::fflush(stdout);
        failed += check::failures > 0;
        ++run;
    }
    if (run == 0) std::printf("no test of that name\n");
    return failed > 0 || run == 0;
}
