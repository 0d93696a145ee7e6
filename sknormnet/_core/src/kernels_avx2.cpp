#define SKNORMNET_TABLE(type) avx2_kernels_##type
#include "kernels_impl.hpp"
