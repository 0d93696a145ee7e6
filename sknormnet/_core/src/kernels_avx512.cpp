#define SKNORMNET_TABLE(type) avx512_kernels_##type
#include "kernels_impl.hpp"
