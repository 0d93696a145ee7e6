// Scratch memory, aligned to cache lines: results do not depend on where an allocation happened to fall.
#pragma once
#include <cstddef>
#include <new>
#include <utility>

#include "kernels.hpp"

namespace sknormnet {

template <class T> class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(i64 size) : data_(allocate(size)) {}
    ~Buffer() { release(); }
    Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(data_, other.data_);
        return *this;
    }
    T* data() const { return data_; }

  private:
    static constexpr std::align_val_t alignment{64};
    static T* allocate(i64 size) {
        return static_cast<T*>(::operator new(static_cast<std::size_t>(size > 0 ? size : 1) * sizeof(T), alignment));
    }
    void release() {
        if (data_ != nullptr) ::operator delete(data_, alignment);
    }
    T* data_ = nullptr;
};

}  // namespace sknormnet
