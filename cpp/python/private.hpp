// Whether what rests on private knowledge is switched off: TENSORCAST_WITHOUT in the environment, as
// kernels/private.py has it.
#pragma once
#include <cstdlib>
#include <cstring>

namespace tc {

inline bool without(const char* name) {
    const char* asked = getenv("TENSORCAST_WITHOUT");
    const size_t n = strlen(name);
    while (asked) {
        while (*asked == ' ' || *asked == ',') ++asked;
        if (strncmp(asked, name, n) == 0 && (asked[n] == 0 || asked[n] == ',' || asked[n] == ' ')) return true;
        asked = strchr(asked, ',');
    }
    return false;
}

}  // namespace tc
