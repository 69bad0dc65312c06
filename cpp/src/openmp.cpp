#include "openmp.hpp"

#if defined(__linux__)

#include <dlfcn.h>
#include <link.h>

#include <mutex>
#include <string>

namespace neurocensus {
namespace {

bool starts_with(const std::string& text, const char* prefix) { return text.rfind(prefix, 0) == 0; }

int note_changes(dl_phdr_info* info, std::size_t, void* out) {
    *static_cast<unsigned long long*>(out) = info->dlpi_adds + info->dlpi_subs;
    return 1;  // the first object tells
}

template <class Note>
void for_each_object(Note note) {
    const auto call = [](dl_phdr_info* info, std::size_t, void* data) {
        const std::string path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
        const auto slash = path.rfind('/');
        if (slash != std::string::npos)
            (*static_cast<Note*>(data))(path, path.substr(0, slash), path.substr(slash + 1));
        return 0;
    };
    dl_iterate_phdr(call, &note);
}

RunTeam find() {
    std::string torch;
    for_each_object([&](const std::string&, const std::string& folder, const std::string& name) {
        if (starts_with(name, "libtorch_cpu.")) torch = folder;
    });
    if (torch.empty()) return nullptr;
    std::string beside, elsewhere;  // scikit-learn, say, has one of its own
    for_each_object([&](const std::string& path, const std::string& folder, const std::string& name) {
        if (starts_with(name, "libgomp") || starts_with(name, "libiomp5") || starts_with(name, "libomp"))
            (folder == torch ? beside : elsewhere) = path;
    });
    const std::string& runtime = beside.empty() ? elsewhere : beside;
    if (runtime.empty()) return nullptr;
    void* handle = dlopen(runtime.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    return handle == nullptr ? nullptr : reinterpret_cast<RunTeam>(dlsym(handle, "GOMP_parallel"));
}

}  // namespace

RunTeam team_of_torch() {
    static std::mutex mutex;
    static unsigned long long seen = 0;
    static RunTeam found = nullptr;
    const std::lock_guard lock(mutex);
    if (found != nullptr) return found;
    unsigned long long now = 0;
    dl_iterate_phdr(note_changes, &now);
    if (now != seen) {
        seen = now;
        found = find();
    }
    return found;
}

}  // namespace neurocensus

#else

namespace neurocensus {
RunTeam team_of_torch() { return nullptr; }
}  // namespace neurocensus

#endif
