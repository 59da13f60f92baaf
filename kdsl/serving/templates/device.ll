; the stream that a caller through TVM-FFI has set for a device; its library may be loaded after this file
declare extern_weak ptr @TVMFFIEnvGetStream(i32, i32)
@kdsl.stream_name = private constant [19 x i8] c"TVMFFIEnvGetStream\00"

define internal ptr @kdsl.stream(ptr %tensor, i32 %kind) noinline {
entry:
  %linked = icmp ne ptr @TVMFFIEnvGetStream, null
  br i1 %linked, label %ask, label %search
search:
  %can = icmp ne ptr @dlsym, null
  br i1 %can, label %look, label %none
look:
  %found = call ptr @dlsym(ptr null, ptr @kdsl.stream_name)
  %there = icmp ne ptr %found, null
  br i1 %there, label %ask, label %none
ask:
  %get = phi ptr [ @TVMFFIEnvGetStream, %entry ], [ %found, %look ]
  %given = icmp ne ptr %tensor, null
  br i1 %given, label %number, label %call
number:
  %at = getelementptr i8, ptr %tensor, i64 12
  %n = load i32, ptr %at
  br label %call
call:
  %index = phi i32 [ 0, %ask ], [ %n, %number ]
  %stream = call ptr %get(i32 %kind, i32 %index)
  ret ptr %stream
none:
  ret ptr null
}
