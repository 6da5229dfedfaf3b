#pragma once
// What the instruction-set files of this folder offer: tables of plain functions on plain memory.
//
// Those files are compiled with flags of their own, so they may include nothing but this header, the other
// headers of this folder and C headers: an inline function of the rest of the program, compiled there with
// AVX-512, could replace the baseline copy at link time. Everything they define is in an anonymous namespace.
#include <stddef.h>
#include <stdint.h>

namespace lorikeet::simd {

/// Width of a packed panel in columns, and the row stride of every float tile, on every instruction set.
constexpr int kPanelColumns = 64;
/// Most segments that one call of PanelOps::multiply takes.
constexpr int kMaxSegments = 12;

/// Most activation rows of PanelOps::few_dense and CodeOps::few.
constexpr int kFewRows = 4;

enum class Element : uint8_t { f32, bf16, f16 };  // in the order of DType

/// One stretch of the contraction of a product, in units of 4 bytes: a float or a pair of bfloat16.
/// a: rows of units, `a_stride` bytes apart. b: a packed panel, [units][16 * vectors] units.
struct Segment {
  const char* a;
  int64_t a_stride;
  const char* b;
  int64_t units;
};

/// quant/weight.h's Grouped without its types.
struct GroupedCodes {
  bool awq;
  int bits, zero_offset;
  int64_t group_size, zero_words;  ///< zero_words: of one group
  const int32_t* group_of;
  const uint32_t* zeros;
  const char* scales;
  Element scale_type;
};

/// The frozen matrix behind a decoder: quant/weight.h without its types.
struct Codes {
  const uint8_t* data;
  int64_t cols, row_bytes;
  int block_shift;  ///< log2 of the block size of bnb4
  const float* code;
  const float* absmax;  ///< or null with double quantization:
  const uint8_t* absmax_codes;
  const float* nested_absmax;
  const float* nested_code;
  float nested_offset;
  int nested_shift;
  GroupedCodes grouped;  ///< gptq and awq; data holds words, cols counts the outputs
};

/// Decodes the columns [first, first + n) of a stored row; first is a multiple of 64, n of 32 (bnb4: of 64).
using Decoder = void (*)(const Codes& w, int64_t row, int64_t first, int64_t n, char* out);

/// Decodes the elements [first, first + n) of `rows` stored rows (columns of W) of gptq or awq, from `row`
/// on, to rows of `out_stride` bytes. first and n are multiples of 32.
using GroupedDecoder = void (*)(const Codes& w, int64_t row, int rows, int64_t first, int64_t n, char* out,
                                int64_t out_stride);

/// One block of scores, [keys] rows of 64 floats, lanes are queries. Key j of the block is visible to lane q
/// if low[q] <= j <= high[q]; both null: all are.
struct ScoreBlock {
  float* scores;
  int keys, vectors;
  float scale, softcap;
  const float* low;
  const float* high;
};

/// The parts of attention between its products, with lanes along the queries: maxima and sums need no
/// shuffles.
struct AttentionOps {
  /// Online softmax: updates the running maximum and sum of every lane, gives the factor for what was summed
  /// before and the probabilities as a packed panel whose contraction runs along the keys. True if a factor
  /// is not 1.
  bool (*softmax)(const ScoreBlock& b, float* maximum, float* sum, float* factor, char* panel);
  /// p = exp(score - lse), ds = scale * p * (dp - delta) (times the slope of the soft cap); dp like scores. p
  /// and ds as rows of 64 elements, ds also as a packed panel along the keys.
  void (*gradient)(const ScoreBlock& b, const float* dp, const float* lse, const float* delta, char* p_rows,
                   char* ds_rows, char* ds_panel);
};

/// An activation row in the order in which CodeOps::lone meets its codes, and the sums of every kOrdered
/// columns.
struct OrderedRow {
  static constexpr int64_t kOrdered = 32;
  char* pairs;
  float* sums;
};

/// What a format can do without the detour over decoded rows; null: nothing.
struct CodeOps {
  /// PanelOps::pack_columns of the columns [first, first + k) of the stored rows rows[0, n).
  void (*pack_columns)(const Codes& w, const int32_t* rows, int n, int64_t first, int64_t k, char* panel,
                       int64_t panel_stride);
  /// For at most kFewRows activation rows, where packing costs more than the product: 16 columns of c, the
  /// same chains of additions as PanelOps::multiply. Asks the cache for what lies `ahead` bytes behind
  /// everything it reads: done at once, that would stall on the memory.
  void (*few)(const Codes& w, const int32_t* weights, int n, int64_t k, const char* a, int64_t a_stride,
              int rows, float* c, bool add, int64_t ahead);
  /// For a lone row (LinearArgs::lone), bf16 only: codes are multiplied as they are, and the scales applied
  /// to the sums of a block, so the weights are not rounded to bf16 before. `row` is what order() made of the
  /// activations.
  void (*lone)(const Codes& w, const int32_t* weights, int n, int64_t k, const OrderedRow& row, float* c,
               bool add, int64_t ahead);
  void (*order)(const char* a, int64_t k, const OrderedRow& out);
};

/// Products of one element type: activations row by row times packed panels, summed in f32.
struct PanelOps {
  int unit;  ///< elements per unit: 2 for bf16, 1 for f32
  /// c[i][j] (+)= sum over the segments; c has rows of 64 floats. Each element is one chain of additions
  /// along the contraction, whatever the number of rows, so a row's result does not depend on the rows beside
  /// it.
  void (*multiply)(const Segment* segments, int count, int64_t rows, int vectors, float* c, bool add);
  /// 16 columns of a panel from 16 rows: panel[u][j] = unit u of row j. Rows from n on, and half a unit
  /// beyond k, are zero. panel_stride in bytes.
  void (*pack_columns)(const char* const* rows, int n, int64_t k, char* panel, int64_t panel_stride);
  /// The units of a panel from `n` contraction rows of `cols` <= 64 elements: panel[i / unit][j] holds
  /// element j of the `unit` rows; absent rows and columns up to a multiple of 16 are zero.
  void (*pack_rows)(const char* const* rows, int n, int cols, char* panel, int64_t panel_stride);
  /// n numbers of any type to this element type.
  void (*convert)(Element from, const char* in, int64_t n, char* out);
  Decoder decode[10];  ///< by WeightFormat, up to the block formats; null: none
  GroupedDecoder decode_grouped;
  CodeOps codes[10];  ///< by WeightFormat
  /// CodeOps::few for weight rows of this element type; k is a multiple of the unit. Null: none.
  void (*few_dense)(const char* const* weights, int n, int64_t k, const char* a, int64_t a_stride, int rows,
                    float* c, bool add, int64_t ahead);
  AttentionOps attention;
};

/// Where and how a tile of sums becomes output: out = add + bias + scale * c, rounded once.
struct Finish {
  char* out;
  int64_t out_stride;  ///< bytes
  Element out_type;
  const char* add;  ///< same shape as out, or null
  int64_t add_stride;
  Element add_type;
  const float* bias;  ///< one per column, or null
  float scale;
};

/// Element-wise kernels of one element type, for one row or one stretch of it.
struct TypedOps {
  float (*square_row)(const char* x, int64_t n);
  void (*norm_row)(const char* x, const float* w, float rstd, char* y, int64_t n);
  void (*norm_bwd_row)(const char* dy, const char* x, const float* w, float rstd, bool accumulate, char* dx,
                       int64_t n);
  /// The parts of layer_norm. stats: mean and 1 / deviation of each row, one pair a row.
  float (*sum_row)(const char* x, int64_t n);
  float (*deviation_row)(const char* x, float mean, int64_t n);  ///< sum of (x - mean)^2
  void (*layer_norm_row)(const char* x, const float* w, const float* b, const float* stats, char* y,
                         int64_t n);  ///< b may be null
  void (*layer_norm_bwd_row)(const char* dy, const char* x, const float* w, const float* stats,
                             bool accumulate, char* dx, int64_t n);
  /// out[0:cols] += sum over rows of dy * (x - mean) * rstd; cols at most `width` of the table.
  void (*layer_norm_weight_sum)(const char* dy, int64_t dy_stride, const char* x, int64_t x_stride,
                                const float* stats, int64_t rows, int cols, float* out);
  /// out[0:cols] += sum over rows of a (* b) (* scale[row]), b and scale optional; cols at most `width` of
  /// the table.
  void (*column_sum)(const char* a, int64_t a_stride, const char* b, int64_t b_stride, const float* scale,
                     int64_t rows, int cols, float* out);
  void (*rope_head)(const char* x, const float* cos, const float* sin, float sign, int64_t half, char* y);
  /// By Activation; up (and dup with it) may be null: the activation alone.
  void (*gate_row[4])(const char* gate, const char* up, char* y, int64_t n);
  void (*gate_bwd_row[4])(const char* dy, const char* gate, const char* up, char* dgate, char* dup,
                          int64_t n);
  float (*dot)(const char* a, const char* b, int64_t n);
  /// y = add + x * (scale + offset) + bias; add and bias may be null.
  void (*scale_columns)(const char* x, const float* scale, float offset, const float* bias, const char* add,
                        char* y, int64_t n);
  void (*softmax_gradient)(const float* z, int64_t n, float lse, float scale, float softcap, float factor,
                           char* out);
};

/// The constants of one optimizer step, rounded to f32 once.
struct AdamW {
  float step_size, root, decay, eps, beta1, beta2, one_minus_beta1, one_minus_beta2, grad_scale;
};
struct Sgd {
  float lr, weight_decay, grad_scale;
};

/// Updates of n consecutive parameters.
struct UpdateOps {
  void (*adamw)(const AdamW& o, float* p, const float* g, float* m, float* v, int64_t n);
  /// bitsandbytes' order of operations.
  void (*adamw_8bit)(const AdamW& o, float* p, const float* g, float* m, float* v, int64_t n);
  void (*sgd)(const Sgd& o, float* p, const float* g, int64_t n);
};

struct VectorOps {
  int width;  ///< lanes
  void (*finish)(const float* c, int64_t rows, int cols, const Finish& f);
  /// out[j][i] = in[i][j] for 2- or 4-byte elements; strides in bytes.
  void (*transpose)(int element_bytes, const char* in, int64_t in_stride, int64_t rows, int64_t cols,
                    char* out, int64_t out_stride);
  /// c[i][lane] *= factor[lane] for rows of 64 floats.
  void (*scale_lanes)(float* c, int64_t rows, int vectors, const float* factor);
  float (*row_maximum)(const float* z, int64_t n);
  float (*exp_sum)(const float* z, int64_t n, float top, float scale, float softcap);
  /// y = softcap * tanh(scale * z / softcap), or scale * z where softcap is 0; y may be z.
  void (*cap_row)(const float* z, int64_t n, float scale, float softcap, float* y);
  double (*square_sum)(const float* g, int64_t n);
  UpdateOps update;
  void (*scale_row)(Element from, const char* x, float scale, bool accumulate, Element to, char* y,
                    int64_t n);
  /// Uniform numbers, 4 to a counter; out needs room for a whole vector of counters.
  void (*uniform)(uint64_t seed, uint64_t stream, uint64_t first_counter, int64_t counters, float* out);
  void (*drop_row)(Element type, const char* x, const float* draw, float p, float keep_scale, bool accumulate,
                   char* y, int64_t n);
  TypedOps typed[2];  ///< f32, bf16
};

struct Table {
  const PanelOps* bf16;  ///< null: no dot product of bf16 pairs
  const PanelOps* f32;
  VectorOps vector;
};

const Table& avx2_table();
const Table& avx512_table();
const Table& avx512bf16_table();

}  // namespace lorikeet::simd
