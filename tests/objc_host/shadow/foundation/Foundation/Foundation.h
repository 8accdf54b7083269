// What the core uses of Foundation, declared for ARC: GNUstep's own headers do not compile under ARC.
// At link time the classes are GNUstep's. A method that is not here does not compile: add it when the core needs it.
#pragma once

#include <objc/objc.h>
#include <stddef.h>
#include <stdint.h>

#define NS_ASSUME_NONNULL_BEGIN _Pragma("clang assume_nonnull begin")
#define NS_ASSUME_NONNULL_END _Pragma("clang assume_nonnull end")
#define NS_ENUM(type, name) \
  enum name : type name;    \
  enum name : type
#define NS_OPTIONS(type, name) NS_ENUM(type, name)

typedef long NSInteger;
typedef unsigned long NSUInteger;
typedef struct _NSZone NSZone;

NS_ASSUME_NONNULL_BEGIN

@class NSString, NSArray<ElementT>;

extern "C" SEL _Nullable NSSelectorFromString(NSString* name);

@protocol NSObject
- (BOOL)respondsToSelector:(SEL)selector;
- (BOOL)isEqual:(nullable id)other;
@end

@protocol NSCopying
- (id)copyWithZone:(nullable NSZone*)zone;
@end

typedef struct {
  unsigned long state;
  id __unsafe_unretained _Nullable* _Nullable itemsPtr;
  unsigned long* _Nullable mutationsPtr;
  unsigned long extra[5];
} NSFastEnumerationState;

@protocol NSFastEnumeration
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState*)state
                                  objects:(id __unsafe_unretained _Nullable* _Nullable)objects
                                    count:(NSUInteger)count;
@end

__attribute__((objc_root_class))
@interface NSObject<NSObject> {
  Class isa;
}
+ (instancetype)alloc;
+ (instancetype)new;
+ (Class)class;
- (instancetype)init;
- (void)setValue:(nullable id)value forKey:(NSString*)key;
@end

@interface NSAutoreleasePool : NSObject
@end

@interface NSString : NSObject <NSCopying>
+ (nullable instancetype)stringWithUTF8String:(const char*)text;
@property(readonly, nullable) const char* UTF8String __attribute__((objc_returns_inner_pointer));
@end

@interface NSConstantString : NSString {
  char* bytes;
  unsigned int size;
}
@end

@interface NSNumber : NSObject <NSCopying>
+ (NSNumber*)numberWithBool:(BOOL)value;
+ (NSNumber*)numberWithInt:(int)value;
+ (NSNumber*)numberWithLong:(long)value;
+ (NSNumber*)numberWithUnsignedLong:(unsigned long)value;
+ (NSNumber*)numberWithLongLong:(long long)value;
@property(readonly) long long longLongValue;
@end

@interface NSArray<__covariant ElementT> : NSObject <NSCopying, NSFastEnumeration>
+ (instancetype)arrayWithObjects:(const ElementT _Nonnull[_Nullable])objects count:(NSUInteger)count;
@property(readonly) NSUInteger count;
- (ElementT)objectAtIndexedSubscript:(NSUInteger)index;
@end

@interface NSMutableArray<ElementT> : NSArray <ElementT>
+ (instancetype)arrayWithCapacity:(NSUInteger)capacity;
- (void)addObject:(ElementT)object;
@end

@interface NSDictionary<__covariant KeyT, __covariant ValueT> : NSObject <NSCopying, NSFastEnumeration>
+ (instancetype)dictionary;
+ (instancetype)dictionaryWithObjects:(const ValueT _Nonnull[_Nullable])objects
                              forKeys:(const KeyT<NSCopying> _Nonnull[_Nullable])keys
                                count:(NSUInteger)count;
@property(readonly) NSUInteger count;
- (nullable ValueT)objectForKeyedSubscript:(KeyT)key;
@end

@interface NSMutableDictionary<KeyT, ValueT> : NSDictionary <KeyT, ValueT>
- (void)setObject:(nullable ValueT)object forKeyedSubscript:(KeyT<NSCopying>)key;
@end

@interface NSBundle : NSObject
+ (NSBundle*)bundleForClass:(Class)aClass;
- (nullable id)objectForInfoDictionaryKey:(NSString*)key;
@end

@interface NSException : NSObject <NSCopying>
@property(readonly, copy) NSString* name;
@property(readonly, copy, nullable) NSString* reason;
@end

@interface NSError : NSObject <NSCopying>
@property(readonly, copy) NSString* domain;
@property(readonly) NSInteger code;
@property(readonly, copy) NSString* localizedDescription;
@end

NS_ASSUME_NONNULL_END
