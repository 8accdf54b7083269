// The NSExceptions that tests ask for.
#import <Foundation/Foundation.h>

#include "control.h"
#include "runtime_shim.h"

// GNUstep's has words of its own for nil.
@interface NamelessException : NSException
@end

@implementation NamelessException

- (NSString*)name {
  return nil;
}

- (NSString*)reason {
  return nil;
}

@end

namespace objc_host {

void throw_if_asked(objc_host_call call) {
  const std::optional<Exception> exception = next_exception(call);
  if (!exception) return;
  Class kind = exception->name.empty() ? [NamelessException class] : [NSException class];
  throw_object([[kind exceptionWithName:[NSString stringWithUTF8String:exception->name.c_str()]
                                 reason:[NSString stringWithUTF8String:exception->reason.c_str()]
                               userInfo:nil] retain]);
}

}  // namespace objc_host
