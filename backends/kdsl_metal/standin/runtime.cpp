// The scheduler of one threadgroup. One simdgroup runs as far as it can, to a barrier or to its
// end, before the next one does: a missing barrier shows in one of the orders.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kdsl_lanes.h"

#ifndef __x86_64__
#error "fibers are switched for x86-64 only"
#endif

extern "C" KdGroup kd_group;
KdGroup kd_group;

extern "C" __attribute__((weak)) __bf16 __truncsfbf2(float x) {
  unsigned bits;
  memcpy(&bits, &x, sizeof bits);
  bits = x != x ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
  unsigned short upper = bits >> 16;
  __bf16 rounded;
  memcpy(&rounded, &upper, sizeof rounded);
  return rounded;
}

// void kd_switch(void **save, void *to): keep what a called function must keep, change stacks.
asm(".text\n.globl kd_switch\nkd_switch:\n"
    "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  mov %rsp, (%rdi)\n  mov %rsi, %rsp\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n  ret\n");

extern "C" void kd_kernel(void);

static void run_lane() {
  kd_kernel();
  kd_group.current->state = KD_FINISHED;
  kd_switch(&kd_group.current->stack, kd_group.scheduler);
  abort();
}

static const unsigned MOST_LANES = 1024, SAVED_REGISTERS = 6;
static const unsigned long STACK_BYTES = 1 << 20;
static char *stacks;
static char message[256];
static KdLane lanes[MOST_LANES];
static unsigned order_of[MOST_LANES];

extern "C" const char *kd_message() { return message; }

static void prepare(unsigned count, unsigned order) {
  if (!stacks) {
    stacks = (char *)mmap(nullptr, STACK_BYTES * MOST_LANES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  kd_group.lanes = lanes;
  kd_group.count = count;
  for (unsigned i = 0; i < count; i++) {
    void **top = (void **)(stacks + STACK_BYTES * (i + 1));
    *--top = nullptr;
    *--top = (void *)run_lane;
    for (unsigned k = 0; k < SAVED_REGISTERS; k++) *--top = nullptr;
    lanes[i] = KdLane{top, KD_RUNNING, 0, i, 0, {}};
    order_of[i] = order == 1 ? count - 1 - i : i;
  }
}

static void mix(unsigned count, unsigned *seed) {
  for (unsigned i = count - 1; i > 0; i--) {
    *seed = *seed * 1664525u + 1013904223u;
    unsigned j = (*seed >> 8) % (i + 1), kept = order_of[i];
    order_of[i] = order_of[j];
    order_of[j] = kept;
  }
}

// Run a simdgroup until all its lanes wait for others; false when they wait at different places.
static bool run_simdgroup(unsigned simdgroup, unsigned count) {
  unsigned first = simdgroup * KD_WIDTH, end = first + KD_WIDTH < count ? first + KD_WIDTH : count;
  for (;;) {
    for (unsigned k = 0; k < count; k++) {
      KdLane *lane = &lanes[order_of[k]];
      if (lane->number / KD_WIDTH != simdgroup || lane->state != KD_RUNNING) continue;
      kd_group.current = lane;
      kd_switch(&kd_group.scheduler, lane->stack);
    }
    unsigned waiting = 0;
    for (unsigned i = first; i < end; i++) waiting += lanes[i].state == KD_AT_EXCHANGE;
    if (waiting == 0) return true;
    for (unsigned i = first; i < end; i++) {
      if (lanes[i].state == KD_AT_EXCHANGE && lanes[i].line == lanes[first].line) continue;
      snprintf(message, sizeof message, "lanes of simdgroup %u are at different exchanges",
               simdgroup);
      return false;
    }
    for (unsigned i = first; i < end; i++) lanes[i].state = KD_RUNNING;
  }
}

// order: 0 forward, 1 backward, else shuffled anew at each round by this seed.
extern "C" int kd_run_group(unsigned count, unsigned order) {
  unsigned seed = order * 2654435761u + 1, simdgroups = (count + KD_WIDTH - 1) / KD_WIDTH;
  prepare(count, order);
  for (;;) {
    if (order > 1) mix(count, &seed);
    for (unsigned q = 0; q < simdgroups; q++) {
      unsigned which = order == 0 ? q : order == 1 ? simdgroups - 1 - q : (q + seed) % simdgroups;
      if (!run_simdgroup(which, count)) return 1;
    }
    unsigned finished = 0, waiting = 0;
    for (unsigned i = 0; i < count; i++) {
      finished += lanes[i].state == KD_FINISHED;
      waiting += lanes[i].state == KD_AT_BARRIER && lanes[i].line == lanes[0].line;
    }
    if (finished == count) return 0;
    if (waiting != count) {
      snprintf(message, sizeof message, "%u of %u threads are at a barrier, %u have finished",
               waiting, count, finished);
      return 1;
    }
    for (unsigned i = 0; i < count; i++) lanes[i].state = KD_RUNNING;
  }
}
