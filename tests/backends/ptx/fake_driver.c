/* A driver for built files: does nothing, and tells its launches on standard output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(name) int name(void) { return 0; }

static void *current;

OK(cuInit) OK(cuDeviceGetDefaultMemPool) OK(cuMemPoolSetAttribute) OK(cuFuncSetAttribute)
OK(cuMemsetD8Async) OK(cuStreamSynchronize) OK(cuStreamDestroy_v2) OK(cuCtxSynchronize)
OK(cuThreadExchangeStreamCaptureMode) OK(cuMemFreeAsync)

int cuDriverGetVersion(int *out) { *out = 13000; return 0; }
int cuDeviceGetCount(int *out) { *out = 2; return 0; }
int cuDeviceGet(int *out, int index) { *out = index; return 0; }
int cuDeviceGetAttribute(int *out, int number, int device) { *out = 132; return 0; }
int cuDeviceGetName(char *out, int size, int device) { strncpy(out, "a fake", size); return 0; }
int cuDevicePrimaryCtxRetain(void **out, int device) { *out = (void *)(0xC0L + device); return 0; }
int cuCtxGetCurrent(void **out) { *out = current; return 0; }
int cuCtxPushCurrent_v2(void *context) { current = context; return 0; }
int cuCtxPopCurrent_v2(void **out) { *out = current; current = NULL; return 0; }
int cuModuleLoadDataEx(void **out, const unsigned char *image, unsigned n, int *keys, void **values) {
  const char *fail = getenv("FAKE_LOAD");
  if (fail) { strcpy(values[0], "the log"); return atoi(fail); }
  printf("load %02x%c%c%c\n", image[0], image[1], image[2], image[3]);
  *out = (void *)0xA0L;
  return 0;
}
int cuModuleGetFunction(void **out, void *module, const char *name) {
  *out = strdup(name);
  return 0;
}
int cuMemAlloc_v2(void **out, size_t bytes) { *out = calloc(1, bytes); return 0; }
int cuMemHostAlloc(void **out, size_t bytes, unsigned flags) { *out = calloc(1, bytes); return 0; }
int cuMemAllocAsync(void **out, size_t bytes, void *stream) { *out = (void *)0xD000L; return 0; }
int cuStreamCreate(void **out, unsigned flags) { *out = (void *)0x51L; return 0; }
int cuStreamIsCapturing(void *stream, int *out) { *out = 0; return 0; }
int cuGetErrorName(int result, const char **out) { *out = "CUDA_ERROR_FAKE"; return 0; }
int cuGetErrorString(int result, const char **out) { *out = "it is a fake"; return 0; }

/* What TVM-FFI's library has, when it is loaded for all to see. */
void *TVMFFIEnvGetStream(int kind, int number) { return (void *)(900L + 10 * kind + number); }

int cuLaunchKernelEx(const unsigned *config, void *function, void **params, void **extra) {
  void *stream;
  memcpy(&stream, (const char *)config + 32, sizeof stream);
  printf("launch %s grid %u block %u stream %ld context %lx first %lx\n", (char *)function, config[0],
         config[3], (long)stream, (unsigned long)current, *(unsigned long *)params[0]);
  fflush(stdout);
  return 0;
}
