// What Cython sees of a network: the problem, the penalties and an epoch in plain structures, without the arithmetic type.
#pragma once
#include <cstdint>
#include <vector>

#include "features.hpp"
#include "rules.hpp"

namespace sknormnet {

enum Status : int { FINISHED = 0, NOT_FINITE = 1, INTERRUPTED = -1 };

using Poll = int (*)();  // non-zero: stop, an exception is set

// What the penalty of a layer's first rows is; segments follow, of weights that are penalised one by one.
enum PenaltyKind : int { BY_SEGMENTS, OF_GROUPS, OF_MATRIX, OF_NETWORK };

struct Segment {
    i64 n = 0;
    Elementwise penalty;
};

struct LayerPenalty {
    int kind = BY_SEGMENTS;
    i64 rows = 0;  // of the matrix that is penalised as one, counted with the intercepts where they belong to it
    GroupPenalty groups;
    MatrixPenalty matrix;
    std::vector<Segment> segments;  // all weights that are left, in their order
};

struct NetworkPenalty {
    std::vector<LayerPenalty> layers;
    double norm = 0;  // strength of the norm of all matrices OF_NETWORK together
};

struct LossKernel {
    void* float_function = nullptr;
    void* double_function = nullptr;
    void* context = nullptr;
};

struct Problem {  // the training data, untyped
    FeatureView x;
    const i64* rows = nullptr;  // those to train on; null: all
    i64 n_rows = 0;             // how many to train on
    const void* y = nullptr;
    i64 y_columns = 0;
    const void* sample_weight = nullptr;
    LossKernel loss;
};

struct EpochPlan {
    const i64* rows = nullptr;  // the order in which rows are visited; null: 0, 1, 2, ...
    i64 n = 0;
    i64 batch_size = 0;
    RuleParameters rule;
    void* first = nullptr;
    void* second = nullptr;
    i64 steps_done = 0;
    double rate_start = 0, rate_end = 0;  // the learning rate moves linearly from one to the other
    const NetworkPenalty* penalty = nullptr;
};

struct EpochResult {
    double data_loss = 0;  // mean over rows
    double penalty = 0;    // mean over batches, each as long as its rows
    i64 steps = 0;
};

class NetworkBase {  // what Cython sees; arrays are of the network's dtype
  public:
    virtual ~NetworkBase() = default;
    virtual void bind(const Problem& problem) = 0;
    // Of each parameter, whether its gradient counts as zero, so that one that is zero stays so; null: of none.
    virtual void hold(const std::uint8_t* held) = 0;
    // weights[l] and intercepts[l] of each layer, apart: a fitted model's arrays need not be one theta.
    virtual int forward(const void* const* weights, const void* const* intercepts, const FeatureView& x,
                        const i64* rows, i64 n, void* out, Poll poll) = 0;
    // gradient may be null: the value alone is cheaper. So may bounds, one number per layer: the sum over rows of
    // |input, 1| * |delta|, which the norm of the layer's gradient cannot exceed.
    virtual int value_and_gradient(const void* theta, void* gradient, double* bounds, Poll poll, double* value) = 0;
    virtual int run_epoch(void* theta, const EpochPlan& plan, Poll poll, EpochResult* result) = 0;
    virtual double penalty(const void* theta, const NetworkPenalty& penalty) = 0;
    virtual double gemm_seconds(i64 rows, i64 repeats) = 0;
};

}  // namespace sknormnet
