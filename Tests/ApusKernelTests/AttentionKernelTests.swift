import ApusReference
import CApusKernels
import Testing

/// Sizes of one attention test.
struct AttentionCase: CustomTestStringConvertible {
  var batch, S, Hq, Hkv, headSize: Int
  init(_ batch: Int, _ S: Int, _ Hq: Int, _ Hkv: Int, _ headSize: Int) {
    (self.batch, self.S, self.Hq, self.Hkv, self.headSize) = (batch, S, Hq, Hkv, headSize)
  }
  var testDescription: String { "batch \(batch), S \(S), heads \(Hq)/\(Hkv) of \(headSize)" }

  /// Shapes with row strides 3, 5, 7 ... beyond the width, the same in both languages.
  var shapes: (c: apus_attention_shape, swift: Reference<Double>.AttentionShape) {
    var s = Reference<Double>.AttentionShape(batch: batch, S: S, Hq: Hq, Hkv: Hkv, headSize: headSize)
    s.qStride += 3
    s.kStride += 5
    s.vStride += 7
    s.oStride += 1
    s.dqStride += 2
    s.dkStride += 4
    s.dvStride += 6
    s.doStride += 9
    s.scale = Double(Float(s.scale))
    let c = apus_attention_shape(
      batch: Int64(batch), S: Int64(S), Hq: Int64(Hq), Hkv: Int64(Hkv), headSize: Int64(headSize),
      q_stride: Int64(s.qStride), k_stride: Int64(s.kStride), v_stride: Int64(s.vStride),
      o_stride: Int64(s.oStride), dq_stride: Int64(s.dqStride), dk_stride: Int64(s.dkStride),
      dv_stride: Int64(s.dvStride), do_stride: Int64(s.doStride), scale: Float(s.scale))
    return (c, s)
  }

  /// Scratch for up to 8 threads, filled with NaN so that reading what was not written shows.
  func scratch(backward: Bool) -> [Float] {
    var c = shapes.c
    let bytes = apus_attention_scratch_bytes_f32(&c, 8, backward ? 1 : 0)
    return [Float](repeating: .nan, count: Int(bytes) / 4 + 1)
  }
}

extension KernelTests {
  static let attentionCases = [
    AttentionCase(1, 1, 1, 1, 2), AttentionCase(2, 5, 2, 1, 6), AttentionCase(1, 97, 1, 1, 64),
    AttentionCase(2, 131, 4, 2, 24), AttentionCase(1, 200, 3, 1, 16), AttentionCase(1, 67, 2, 2, 80),
    AttentionCase(1, 101, 1, 1, 96), AttentionCase(3, 49, 1, 1, 256), AttentionCase(1, 193, 1, 1, 34),
    AttentionCase(1, 395, 2, 1, 64), AttentionCase(1, 299, 1, 1, 128),
  ]
  static let attended = Tolerance(absolute: 2e-5, relative: 1e-5)

  @Test(arguments: attentionCases)
  func attentionForwardAndBackward(_ sizes: AttentionCase) {
    let (c, s) = sizes.shapes
    let T = s.batch * s.S
    let q = Self.numbers(T * s.qStride, seed: 1, range: 2)
    let k = Self.numbers(T * s.kStride, seed: 2, range: 2)
    let v = Self.numbers(T * s.vStride, seed: 3)
    let gradient = Self.numbers(T * s.doStride, seed: 4)
    let unset = { (stride: Int) in [Float](repeating: 9, count: T * stride) }
    Self.compare("attention", [unset(s.oStride), unset(s.Hq)], within: Self.attended) { out in
      var (shape, scratch) = (c, sizes.scratch(backward: false))
      apus_attention_forward_f32(&shape, out[0], out[1], q, k, v, &scratch)
    } reference: {
      Reference<Double>.attentionForward(s, $0[0], $0[1], q.doubles, k.doubles, v.doubles)
    }

    var (o, lse) = (unset(s.oStride).doubles, unset(s.Hq).doubles)
    Reference<Double>.attentionForward(s, &o, &lse, q.doubles, k.doubles, v.doubles)
    let (saved, savedLSE) = (o.map { Float($0) }, lse.map { Float($0) })
    let outputs = [unset(s.dqStride), unset(s.dkStride), unset(s.dvStride), unset(s.Hq)]
    Self.compare("attention backward", outputs, within: Self.attended) { out in
      var (shape, scratch) = (c, sizes.scratch(backward: true))
      apus_attention_backward_f32(
        &shape, out[0], out[1], out[2], gradient, saved, savedLSE, out[3], q, k, v, &scratch)
    } reference: {
      Reference<Double>.attentionBackward(
        s, $0[0], $0[1], $0[2], gradient.doubles, o, lse, $0[3], q.doubles, k.doubles, v.doubles)
    }
  }

  @Test(arguments: [(1, 0), (1, 300), (3, 130), (6, 0), (70, 131), (5, 250)])
  func attentionCached(_ rows: Int, _ start: Int) {
    for sizes in [AttentionCase(1, rows, 4, 2, 24), AttentionCase(1, rows, 2, 2, 34)] {
      let (c, s) = sizes.shapes
      let width = s.Hkv * s.headSize
      let q = Self.numbers(rows * s.qStride, seed: 1, range: 2)
      let k = Self.numbers(rows * s.kStride, seed: 2, range: 2)
      let v = Self.numbers(rows * s.vStride, seed: 3)
      let caches = [4, 5].map { Self.numbers((start + rows + 2) * width, seed: $0, range: 2) }
      let unset = [Float](repeating: 9, count: rows * s.oStride)
      Self.compare("cached attention", [unset] + caches, within: Self.attended) { out in
        var (shape, scratch) = (c, sizes.scratch(backward: false))
        apus_attention_cached_f32(&shape, out[0], q, k, v, out[1], out[2], Int64(start), &scratch)
      } reference: {
        Reference<Double>.attentionCached(
          s, $0[0], q.doubles, k.doubles, v.doubles, $0[1], $0[2], start)
      }
    }
  }

  @Test("Scores in the thousands keep the largest; NaN reaches the output")
  func attentionExtremes() {
    let sizes = AttentionCase(1, 20, 1, 1, 4)
    var (c, s) = sizes.shapes
    var q = Self.numbers(20 * s.qStride, seed: 1, range: 200)
    let k = Self.numbers(20 * s.kStride, seed: 2, range: 200)
    let v = Self.numbers(20 * s.vStride, seed: 3)
    var (o, lse) = ([Float](repeating: 0, count: 20 * s.oStride), [Float](repeating: 0, count: 20))
    var scratch = sizes.scratch(backward: false)
    apus_attention_forward_f32(&c, &o, &lse, q, k, v, &scratch)
    #expect(o.allSatisfy(\.isFinite) && lse.allSatisfy(\.isFinite))
    #expect(o[0] == v[0])
    q[7 * s.qStride] = .nan
    apus_attention_forward_f32(&c, &o, &lse, q, k, v, &scratch)
    #expect(o[7 * s.oStride].isNaN && lse[7].isNaN)
    #expect(o[6 * s.oStride].isFinite && o[8 * s.oStride].isFinite)
  }
}
