#pragma once
// Elementary functions on the vector type V of the including file, to about 1 unit in the last place of f32.
// Polynomials: Cephes (https://www.netlib.org/cephes/, expf, tanhf).
#include "backend/cpu/simd/vector.h"

namespace lorikeet::simd {
namespace {

/// Below -87.33 the result is zero or the smallest normal number; above 88.72 the largest finite ones.
LORIKEET_INLINE V::F exp_of(V::F x) {
  x = V::min(V::set(88.72283f), V::max(V::set(-87.33654f), x));
  const V::F n = V::round(V::mul(x, V::set(1.44269504088896341f)));
  V::F r = V::negative_fma(n, V::set(0.693359375f), x);
  r = V::negative_fma(n, V::set(-2.12194440e-4f), r);
  V::F p = V::set(1.9875691500e-4f);
  p = V::fma(p, r, V::set(1.3981999507e-3f));
  p = V::fma(p, r, V::set(8.3334519073e-3f));
  p = V::fma(p, r, V::set(4.1665795894e-2f));
  p = V::fma(p, r, V::set(1.6666665459e-1f));
  p = V::fma(p, r, V::set(5.0000001201e-1f));
  p = V::add(V::fma(p, V::mul(r, r), r), V::set(1.0f));
  return V::scale2(p, n);
}

LORIKEET_INLINE V::F tanh_of(V::F x) {
  const V::F one = V::set(1), a = V::abs(x), z = V::mul(x, x);
  V::F p = V::set(-5.70498872745e-3f);
  p = V::fma(p, z, V::set(2.06390887954e-2f));
  p = V::fma(p, z, V::set(-5.37397155531e-2f));
  p = V::fma(p, z, V::set(1.33314422036e-1f));
  p = V::fma(p, z, V::set(-3.33332819422e-1f));
  const V::F small = V::fma(V::mul(p, z), x, x);
  const V::F e = exp_of(V::add(a, a));
  const V::F large = V::copy_sign(V::sub(one, V::div(V::set(2), V::add(e, one))), x);
  return V::select_less(a, V::set(0.625f), small, large);
}

/// erf to an absolute error of 1.5e-7. Source: Abramowitz and Stegun, 7.1.26.
LORIKEET_INLINE V::F erf_of(V::F x) {
  const V::F one = V::set(1), a = V::abs(x);
  const V::F t = V::div(one, V::fma(V::set(0.3275911f), a, one));
  V::F p = V::set(1.061405429f);
  p = V::fma(p, t, V::set(-1.453152027f));
  p = V::fma(p, t, V::set(1.421413741f));
  p = V::fma(p, t, V::set(-0.284496736f));
  p = V::fma(p, t, V::set(0.254829592f));
  const V::F e = exp_of(V::sub(V::zero(), V::mul(a, a)));
  return V::copy_sign(V::negative_fma(V::mul(p, t), e, one), x);
}

}  // namespace
}  // namespace lorikeet::simd
