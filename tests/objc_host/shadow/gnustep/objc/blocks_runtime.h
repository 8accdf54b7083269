// GNUstep's headers ask for this file; GCC's Objective-C runtime has none.
#pragma once

#include <Block.h>
