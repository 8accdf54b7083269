// What clang's ARC code calls and GCC's Objective-C runtime lacks, in terms of what that runtime has.
//
// The core is compiled for the GNUstep 1.0 ABI, the host for GCC's. Their modules, classes and selectors are laid out
// alike except for the module's version and size, and how a method is looked up. Link with
// -Wl,--wrap=__objc_exec_class.
#include "runtime_shim.h"

#include <Block.h>
#include <Block_private.h>
#include <objc/message.h>
#include <objc/runtime.h>

#include <cxxabi.h>

#include <exception>
#include <typeinfo>

namespace gnustep::libobjc {

/// The type of what @catch takes and throw_object() throws: clang's code for the GNUstep ABI names its vtable.
struct __objc_class_type_info : std::type_info {
  explicit __objc_class_type_info(const char* class_name) : std::type_info(class_name) {}
  ~__objc_class_type_info() override;
  bool __is_pointer_p() const override { return true; }
  bool __do_catch(const std::type_info* thrown, void** object, unsigned outer) const override;
};

__objc_class_type_info::~__objc_class_type_info() = default;

bool __objc_class_type_info::__do_catch(const std::type_info* thrown, void** object, unsigned) const {
  if (dynamic_cast<const __objc_class_type_info*>(thrown) == nullptr) return false;
  const Class wanted = objc_getClass(name());
  Class each = object_getClass(static_cast<id>(*object));
  while (each != nullptr && each != wanted) each = class_getSuperclass(each);
  return each != nullptr;
}

}  // namespace gnustep::libobjc

namespace {

struct Slot {
  Class owner;
  Class cached_for;
  const char* types;
  int version;
  IMP method;
};

struct Module {
  unsigned long version;
  unsigned long size;
};

constexpr unsigned long kGccModuleVersion = 8;
constexpr unsigned long kGccModuleSize = 4 * sizeof(void*);

Slot* slot_for(Class owner, IMP method) {
  thread_local Slot slot;
  slot = {owner, nullptr, "", 0, method};
  return &slot;
}

// To GCC's runtime, BlocksRuntime's blocks are not objects: they cannot be sent messages.
bool is_block(id object) {
  void* isa = *reinterpret_cast<void**>(object);
  return isa == _NSConcreteStackBlock || isa == _NSConcreteMallocBlock || isa == _NSConcreteGlobalBlock;
}

id send(id object, SEL selector) {
  return reinterpret_cast<id (*)(id, SEL)>(objc_msg_lookup(object, selector))(object, selector);
}

}  // namespace

extern "C" {

void __real___objc_exec_class(Module* module);

// Exported, because GNU ld wraps the references of shared libraries too (at run time they still find the real one).
__attribute__((visibility("default"))) void __wrap___objc_exec_class(Module* module) {
  module->version = kGccModuleVersion;
  module->size = kGccModuleSize;
  __real___objc_exec_class(module);
}

Slot* objc_msg_lookup_sender(id* receiver, SEL selector, id) {
  return slot_for(nullptr, objc_msg_lookup(*receiver, selector));
}

Slot* objc_slot_lookup_super(struct objc_super* super, SEL selector) {
  return slot_for(super->super_class, objc_msg_lookup_super(super, selector));
}

id objc_retain(id object) {
  static const SEL selector = sel_registerName("retain");
  if (object == nullptr) return nullptr;
  return is_block(object) ? static_cast<id>(_Block_copy(object)) : send(object, selector);
}

void objc_release(id object) {
  static const SEL selector = sel_registerName("release");
  if (object == nullptr) return;
  if (is_block(object)) {
    _Block_release(object);
  } else {
    send(object, selector);
  }
}

id objc_autorelease(id object) {
  static const SEL selector = sel_registerName("autorelease");
  if (object == nullptr) return nullptr;
  if (is_block(object)) std::terminate();  // a block returned by the core: it has none
  return send(object, selector);
}

id objc_retainBlock(id block) { return static_cast<id>(_Block_copy(block)); }

void objc_storeStrong(id* location, id value) {
  id old = *location;
  objc_retain(value);
  *location = value;
  objc_release(old);
}

id objc_retainAutorelease(id object) { return objc_autorelease(objc_retain(object)); }
id objc_autoreleaseReturnValue(id object) { return objc_autorelease(object); }
id objc_retainAutoreleaseReturnValue(id object) { return objc_retainAutorelease(object); }
id objc_retainAutoreleasedReturnValue(id object) { return objc_retain(object); }
id objc_unsafeClaimAutoreleasedReturnValue(id object) { return object; }

// Objective-C's exceptions are C++'s here (throw_object), so C++'s own personality serves both.
int __gxx_personality_v0(int, int, unsigned long, void*, void*);

int __gnustep_objcxx_personality_v0(int version, int actions, unsigned long exception_class, void* exception,
                                    void* context) {
  return __gxx_personality_v0(version, actions, exception_class, exception, context);
}

int __gnustep_objc_personality_v0(int version, int actions, unsigned long exception_class, void* exception,
                                  void* context) {
  return __gxx_personality_v0(version, actions, exception_class, exception, context);
}
}

void objc_host::throw_object(id exception) {
  static const auto& type = *new gnustep::libobjc::__objc_class_type_info("NSException");
  void* thrown = abi::__cxa_allocate_exception(sizeof(id));
  *static_cast<id*>(thrown) = exception;
  abi::__cxa_throw(thrown, const_cast<gnustep::libobjc::__objc_class_type_info*>(&type),
                   [](void* object) { objc_release(*static_cast<id*>(object)); });
}
