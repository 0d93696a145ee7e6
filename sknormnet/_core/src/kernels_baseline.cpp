#define SKNORMNET_TABLE(type) baseline_kernels_##type
#include "kernels_impl.hpp"
