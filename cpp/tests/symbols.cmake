# Pitfall 19: an inline function that several files define is one copy after linking, perhaps the one for
# AVX-512. So whatever a kernel file offers to share must carry its instruction set in its name.
# Usage: cmake -D NM=nm -D ARCHIVE=libneurocensus_core.a -P symbols.cmake
execute_process(COMMAND ${NM} -A ${ARCHIVE} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]*kernels_[^\n]* [WVu] [^\n]*" shared "${symbols}")
list(LENGTH shared count)
if(count EQUAL 0)
  message(FATAL_ERROR "no shared symbol of a kernel file found in ${ARCHIVE}: is this test blind?")
endif()
foreach(symbol IN LISTS shared)
  string(REGEX REPLACE ".*kernels_([a-z0-9]+)\\.cpp.*" "\\1" isa "${symbol}")
  if(NOT symbol MATCHES "NK?11neurocensus[0-9]${isa}")
    message(SEND_ERROR "shared by name with code for other CPUs: ${symbol}")
  endif()
endforeach()
