// Enough of a test framework: TEST(name) { ... } registers, CHECK... reports and goes on, and the
// program (check.cpp) fails at its end if any check did.
#pragma once

#include <sstream>
#include <string>

namespace check {

struct Register {
    Register(const char* name, void (*body)());
};

void fail(const char* file, int line, const std::string& what);

// While it lives, failures say this too: which case of a loop they happened in.
class Note {
   public:
    template <class... Parts>
    explicit Note(const Parts&... parts) {
        std::ostringstream out;
        ((out << ' ' << parts), ...);
        push(out.str());
    }
    ~Note();
    Note(const Note&) = delete;
    Note& operator=(const Note&) = delete;

   private:
    static void push(std::string text);
};

template <class A, class B>
void equal(const A& got, const B& wanted, const char* expression, const char* file, int line) {
    if (got == wanted) return;
    std::ostringstream out;
    out.precision(17);
    out << expression << ": expected " << wanted << ", got " << got;
    fail(file, line, out.str());
}

}  // namespace check

#define TEST(name)                                         \
    static void name();                                    \
    static const check::Register name##_test(#name, name); \
    static void name()

#define CHECK(condition) \
    ((condition) ? static_cast<void>(0) : check::fail(__FILE__, __LINE__, "expected " #condition))

#define CHECK_EQUAL(got, wanted) check::equal((got), (wanted), #got, __FILE__, __LINE__)

#define CHECK_THROWS(Exception, expression)                                                        \
    do {                                                                                           \
        bool thrown = false;                                                                       \
        try {                                                                                      \
            expression;                                                                            \
        } catch (const Exception&) {                                                               \
            thrown = true;                                                                         \
        }                                                                                          \
        if (!thrown) check::fail(__FILE__, __LINE__, "expected " #Exception " from " #expression); \
    } while (false)
