from __future__ import annotations


def test_a_chain_that_nobody_reads_goes_at_once(after):
    body = """
      %a = "arith.addf"(%x, %x) : (f32, f32) -> f32
      %b = "memref.load"(%m) : (memref<f32>) -> f32
      %c = "arith.mulf"(%a, %b) : (f32, f32) -> f32"""
    text = after("dce", "%x: f32, %m: memref<f32>", body)
    assert "arith" not in text
    assert "memref.load" not in text


def test_a_loop_without_effects_goes(after):
    body = """
      %y = "scf.for"(%i, %i, %i, %x) ({
      ^bb0(%k: index, %v: f32):
        %w = "arith.addf"(%v, %v) : (f32, f32) -> f32
        "scf.yield"(%w) : (f32) -> ()
      }) : (index, index, index, f32) -> f32"""
    assert "scf.for" not in after("dce", "%x: f32, %i: index", body)


def test_a_buffer_that_is_only_written_goes_with_its_stores(after):
    body = """
      %b = "memref.alloc"() {operandSegmentSizes = array<i32: 0, 0>} : () -> memref<4xf32>
      "memref.store"(%x, %b, %i) : (f32, memref<4xf32>, index) -> ()
      "memref.dealloc"(%b) : (memref<4xf32>) -> ()"""
    assert "memref" not in after("dce", "%x: f32, %i: index", body)


def test_a_buffer_that_is_read_stays(after):
    body = """
      %b = "memref.alloca"() {operandSegmentSizes = array<i32: 0, 0>} : () -> memref<4xf32>
      "memref.store"(%x, %b, %i) : (f32, memref<4xf32>, index) -> ()
      %y = "memref.load"(%b, %i) : (memref<4xf32>, index) -> f32"""
    text = after("dce", "%x: f32, %i: index", body, "%y: f32")
    assert "memref.store" in text


def test_stores_to_arguments_and_atomics_stay(after):
    body = """
      "memref.store"(%x, %m) : (f32, memref<f32>) -> ()
      %y = "memref.atomic_rmw"(%x, %m) {kind = 0 : i64} : (f32, memref<f32>) -> f32"""
    text = after("dce", "%x: f32, %m: memref<f32>", body)
    assert "memref.store" in text
    assert "memref.atomic_rmw" in text
