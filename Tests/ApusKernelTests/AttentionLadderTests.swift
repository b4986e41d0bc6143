import ApusReference
import CApusKernels
import Testing

/// The rungs below FlashAttention-2, its memory, and version 3's 8-bit form in emulation.
extension KernelTests {
  @Test(arguments: [
    APUS_ATTENTION_SCALAR, APUS_ATTENTION_UNFUSED, APUS_ATTENTION_FLASH1, APUS_ATTENTION_FLASH2,
  ])
  func everyRungIsTheSameAttention(_ rung: apus_attention_rung) {
    for sizes in Self.attentionCases {
      let (c, s) = sizes.shapes
      let T = s.batch * s.S
      let q = Self.numbers(T * s.qStride, seed: 1, range: 2)
      let k = Self.numbers(T * s.kStride, seed: 2, range: 2)
      let v = Self.numbers(T * s.vStride, seed: 3)
      let unset = { (stride: Int) in [Float](repeating: 9, count: T * stride) }
      Self.compare("rung \(rung)", [unset(s.oStride), unset(s.Hq)], within: Self.attended) { out in
        var shape = c
        let bytes = apus_attention_rung_scratch_bytes(rung, &shape, 3)
        var scratch = [Float](repeating: .nan, count: Int(bytes) / 4 + 1)
        apus_attention_rung_forward(rung, APUS_F32, &shape, out[0], out[1], q, k, v, &scratch)
      } reference: {
        Reference<Double>.attentionForward(s, $0[0], $0[1], q.doubles, k.doubles, v.doubles)
      }
    }
  }

  /// The rungs read 16-bit numbers exactly and round their results once.
  @Test(arguments: HalfKernels.all, [APUS_ATTENTION_SCALAR, APUS_ATTENTION_UNFUSED, APUS_ATTENTION_FLASH1])
  func halfRungs(_ half: HalfKernels, _ rung: apus_attention_rung) {
    for sizes in Self.attentionCases {
      let (c, s) = sizes.shapes
      let T = s.batch * s.S
      let q = Self.halves(half, T * s.qStride, seed: 1, range: 2)
      let k = Self.halves(half, T * s.kStride, seed: 2, range: 2)
      let v = Self.halves(half, T * s.vStride, seed: 3)
      let unset = half.round([Float](repeating: 9, count: T * s.oStride))
      let statistics = [Float](repeating: 9, count: T * s.Hq)
      Self.compare("rung \(rung)", half, [unset], [statistics], within: Self.attended) { h, f in
        var shape = c
        let bytes = apus_attention_rung_scratch_bytes(rung, &shape, 3)
        var scratch = [Float](repeating: .nan, count: Int(bytes) / 4 + 1)
        apus_attention_rung_forward(rung, half.type, &shape, h[0], f[0], q, k, v, &scratch)
      } reference: {
        Reference<Double>.attentionForward(
          s, $0[0], $0[1], half.doubles(q), half.doubles(k), half.doubles(v))
      }
    }
  }

  /// GPT-2's heads at 32,768 tokens: at most 64 MB beyond Q, K, V, O and the log-sum-exp, also on many cores;
  /// twice the tokens take at most twice the bytes.
  @Test func attentionMemoryIsLinear() {
    func bytes(_ S: Int, _ threads: Int32, _ backward: Int32) -> Int64 {
      var shape = AttentionCase(1, S, 12, 12, 64).shapes.c
      return apus_attention_scratch_bytes_f32(&shape, threads, backward)
    }
    for threads: Int32 in [1, 2, 16, 64] {
      for backward: Int32 in [0, 1] {
        #expect(bytes(32_768, threads, backward) <= 64_000_000, "\(threads) threads")
        #expect(bytes(65_536, threads, backward) <= 2 * bytes(32_768, threads, backward))
        #expect(bytes(131_072, threads, backward) <= 2 * bytes(65_536, threads, backward))
      }
    }
    var shape = AttentionCase(1, 32_768, 12, 12, 64).shapes.c
    #expect(apus_attention_rung_scratch_bytes(APUS_ATTENTION_UNFUSED, &shape, 1) > 4_000_000_000)
  }

  /// More heads than are kept at a time: turns give the bits of one turn.
  @Test func headsInTurns() {
    let sizes = AttentionCase(3, 5_000, 8, 4, 66)
    var (c, s) = sizes.shapes
    let T = s.batch * s.S
    let q = Self.numbers(T * s.qStride, seed: 1, range: 2)
    let k = Self.numbers(T * s.kStride, seed: 2, range: 2)
    let v = Self.numbers(T * s.vStride, seed: 3)
    apus_set_thread_count(2)
    var scratch = sizes.scratch(backward: false)
    var (o, lse) = ([Float](repeating: 9, count: T * s.oStride), [Float](repeating: 9, count: T * s.Hq))
    apus_attention_forward_f32(&c, &o, &lse, q, k, v, &scratch)
    // The last sequence alone.
    var (one, single) = (AttentionCase(1, 5_000, 8, 4, 66), c)
    single.batch = 1
    one.batch = 1
    let first = 2 * s.S
    var (part, partLSE) = (
      [Float](repeating: 9, count: s.S * s.oStride), [Float](repeating: 9, count: s.S * s.Hq)
    )
    scratch = one.scratch(backward: false)
    apus_attention_forward_f32(
      &single, &part, &partLSE, Array(q[(first * s.qStride)...]), Array(k[(first * s.kStride)...]),
      Array(v[(first * s.vStride)...]), &scratch)
    let width = s.Hq * s.headSize
    for t in 0..<s.S {
      let (there, here) = ((first + t) * s.oStride, t * s.oStride)
      guard o[there..<there + width] == part[here..<here + width] else {
        Issue.record("row \(t) differs")
        break
      }
    }
  }

  /// The inputs of Shah et al. 2024, section 4.3: normal numbers, and one in a thousand ten times as wide.
  /// The paper reports 9.1e-3 with blocks and mixing and 2.4e-2 with tensor scales.
  @Test func float8AttentionWithBlocksAndMixing() {
    let (S, size) = (512, 64)
    func inputs(_ seed: UInt64) -> [Double] {
      var (normal, wide) = ([Float](repeating: 0, count: S * size), [Float](repeating: 0, count: S * size))
      apus_philox_normal_f32(&normal, Int64(S * size), seed, 0, 0, 1)
      apus_philox_normal_f32(&wide, Int64(S * size), seed + 10, 0, 0, 10)
      let rare = Self.numbers(S * size, seed: seed).map { abs($0) < 0.001 }
      return normal.indices.map { Double(normal[$0]) + (rare[$0] ? Double(wide[$0]) : 0) }
    }
    let (q, k, v) = (inputs(1), inputs(2), inputs(3))
    let shape = Reference<Double>.AttentionShape(batch: 1, S: S, Hq: 1, Hkv: 1, headSize: size)
    var (exact, lse) = ([Double](repeating: 0, count: S * size), [Double](repeating: 0, count: S))
    Reference<Double>.attentionForward(shape, &exact, &lse, q, k, v)

    func error(_ scaling: Float8Scaling, incoherent: Bool, shrink: Double = 1) -> Double {
      let attention = Float8Attention(scaling: scaling, incoherent: incoherent)
      let o = attention(q: q.map { $0 * shrink }, k: k.map { $0 / shrink }, v: v, size: size)
      let squares = zip(o, exact).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      return (squares / Double(o.count)).squareRoot()
    }
    let full = error(.block(rows: 64), incoherent: true)
    let unscaled = error(.none, incoherent: false)
    let tensor = error(.tensor, incoherent: false)
    let errors = "blocks and mixing \(full), tensor scales \(tensor), none \(unscaled)"
    // Values of deviation 1 are off by at most 2^-4 of themselves; the mean over keys at least halves that.
    #expect(full < 0x1p-5, "\(errors)")
    #expect(full < 0.85 * unscaled && full < 0.85 * tensor, "\(errors)")
    // A q below the format's range and a k above it: scales make the result the same, without them it is lost.
    #expect(error(.block(rows: 64), incoherent: true, shrink: 0x1p-9) <= full * 1.001)
    #expect(error(.none, incoherent: false, shrink: 0x1p-9) > 4 * full)
  }
}
