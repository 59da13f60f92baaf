"""A C program with the generated header, linked with the file or opening it."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import sample

from kdsl.serving.header import header

pytestmark = [
    pytest.mark.judge,
    pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed"),
]

BODY = """
int main(void) {
  float x[4] = {1, 2, 3, 4}, y[4] = {1, 1, 1, 1};
  int64_t four = 4, three = 3;
  DLTensor tx = {x, {1, 0}, 1, {2, 32, 1}, &four, NULL, 0}, ty = tx;
  ty.data = y;
  if (kdsl_abi_version() != KDSL_ABI) return 1;
  kdsl_set_num_threads(2);
  if (kdsl_axpby(&tx, &ty, 2.0f, 3.0f, NULL) != KDSL_OK) return 2;
  for (int i = 0; i < 4; i++) if (y[i] != 2 * x[i] + 3) return 3;
  ty.shape = &three;
  if (kdsl_axpby(&tx, &ty, 2.0f, 3.0f, NULL) != KDSL_E_SHAPE) return 4;
  puts(kdsl_last_error());
  return y[0] == 5 ? 0 : 5;
}
"""
LINKED = '#include <stdio.h>\n#include "sample.h"\n' + BODY
OPENED = (
    '#include <stdio.h>\n#include <dlfcn.h>\n#include "sample.h"\n'
    + "\n".join(
        f"static __typeof__(&{name}) p_{name};"
        for name in ("kdsl_axpby", "kdsl_last_error", "kdsl_abi_version", "kdsl_set_num_threads")
    )
    + BODY.replace("kdsl_", "p_kdsl_").replace(
        "int main(void) {",
        "int main(int argc, char** argv) {\n"
        "  if (argc != 2) return 8;\n  void* h = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);\n  if (!h) { puts(dlerror()); return 9; }\n"
        '  *(void**)&p_kdsl_axpby = dlsym(h, "kdsl_axpby");\n'
        '  *(void**)&p_kdsl_last_error = dlsym(h, "kdsl_last_error");\n'
        '  *(void**)&p_kdsl_abi_version = dlsym(h, "kdsl_abi_version");\n'
        '  *(void**)&p_kdsl_set_num_threads = dlsym(h, "kdsl_set_num_threads");',
    )
)
MESSAGE = "axpby: argument 'y' (2nd): dim N is 3, but 'x' has N = 4\n"


def compile_c(folder, text, *extra):
    (folder / "sample.h").write_text(header(sample.manifest(), "sample"))
    (folder / "main.c").write_text(text)
    line = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", "main", "main.c", *extra]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_program_linked_with_the_file_runs(file, tmp_path):
    library = file.stem.removeprefix("lib")
    compile_c(tmp_path, LINKED, f"-L{file.parent}", f"-l{library}", f"-Wl,-rpath,{file.parent}")
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, MESSAGE)


def test_a_program_that_opens_the_file_runs(file, tmp_path):
    compile_c(tmp_path, OPENED, "-ldl")
    done = subprocess.run([tmp_path / "main", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, MESSAGE)


def test_the_header_is_good_cplusplus_and_lives_with_dlpack(tmp_path):
    tvm_ffi = pytest.importorskip("tvm_ffi")
    include = tvm_ffi.libinfo.find_dlpack_include_path()
    (tmp_path / "sample.h").write_text(header(sample.manifest(), "sample"))
    (tmp_path / "a.cc").write_text('#include <dlpack/dlpack.h>\n#include "sample.h"\n')
    line = ["cc", "-x", "c++", "-Wall", "-Werror", f"-I{include}", "-fsyntax-only", "a.cc"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_header_documents_dims_relations_and_an_example():
    text = header(sample.manifest(), "sample")
    assert "y = a * x + b * y / * sum * /" in text
    assert " * Must hold: C % G == 0" in text
    assert "bias (3rd): f32 [C], read, last dim contiguous, may be NULL" in text
    assert "out (2nd): f32 [R, C], written, last dim contiguous, aligned to 16 bytes" in text
    assert "Example: if (kdsl_rows(&src, &out, NULL, 2.0, 1, NULL) != KDSL_OK)" in text
    assert "int32_t kdsl_rows(const DLTensor* src, const DLTensor* out" in text
