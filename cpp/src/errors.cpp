// The errors' destructors live here so that their type information is in the library alone: other libraries catch them.
#include "mpsmnist/mpsmnist.h"

namespace mpsmnist {

Error::~Error() = default;
DeviceError::~DeviceError() = default;
ArgumentError::~ArgumentError() = default;
ScaleError::~ScaleError() = default;
NotFiniteError::~NotFiniteError() = default;

const char* version() noexcept { return MPSMNIST_VERSION; }

}  // namespace mpsmnist
