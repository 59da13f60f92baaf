// Lanes of one threadgroup as fibers. Barriers and exchanges are meeting points: a lane that comes
// to one gives control back, and the scheduler goes on when all that must be there are there.
#pragma once

constexpr unsigned KD_WIDTH = 32;

enum KdState : int { KD_RUNNING, KD_AT_BARRIER, KD_AT_EXCHANGE, KD_FINISHED };

struct KdLane {
  void *stack;
  int state;
  int line;
  unsigned number;
  unsigned turn;  // which of the two slots holds what the lane offers now
  unsigned long slots[2][2];
};

struct KdGroup {
  KdLane *lanes;
  KdLane *current;
  void *scheduler;
  unsigned count;
};

extern "C" KdGroup kd_group;
extern "C" void kd_switch(void **save, void *to);

static inline __attribute__((noinline)) void kd_meet(KdState state, int line) {
  KdLane *lane = kd_group.current;
  lane->state = state;
  lane->line = line;
  kd_switch(&lane->stack, kd_group.scheduler);
}

static inline unsigned kd_lane_of_simdgroup() { return kd_group.current->number % KD_WIDTH; }

template <class T> static inline void kd_offer(T value, int line) {
  static_assert(sizeof(T) <= sizeof(kd_group.current->slots[0]), "too large to exchange");
  KdLane *lane = kd_group.current;
  lane->turn ^= 1;
  __builtin_memcpy(lane->slots[lane->turn], &value, sizeof value);
  kd_meet(KD_AT_EXCHANGE, line);
}

template <class T> static inline T kd_offered(unsigned other) {
  KdLane *lane = kd_group.current;
  unsigned first = lane->number / KD_WIDTH * KD_WIDTH;
  T value;
  __builtin_memcpy(&value, kd_group.lanes[first + other % KD_WIDTH].slots[lane->turn], sizeof value);
  return value;
}
