import ApusReference
import CApusKernels
import Testing

extension KernelTests {
  /// The known answers of Random123's `kat_vectors` for philox4x32-10.
  @Test("Philox gives the published words")
  func philoxKnownAnswers() {
    let all = UInt32.max
    let cases: [(counter: [UInt32], key: [UInt32], words: [UInt32])] = [
      ([0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
      ([all, all, all, all], [all, all], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
      (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
      ),
    ]
    for (counter, key, words) in cases {
      var out: [UInt32] = [0, 0, 0, 0]
      apus_philox_4x32(&out, counter, key)
      #expect(out == words)
      let reference = philox4x32(
        counter: SIMD4(counter[0], counter[1], counter[2], counter[3]), key: SIMD2(key[0], key[1]))
      #expect(reference == SIMD4(words[0], words[1], words[2], words[3]))
    }
  }

  @Test("Normal numbers: the reference's, however a tensor is split")
  func philoxNormal() {
    let (n, key, first) = (10_001, UInt64(0x1234_5678_9abc_def0), UInt64(0xffff_fff0))
    let unset = [Float](repeating: 0, count: n)
    Self.compare("normal", [unset], within: Tolerance(absolute: 1e-7, relative: 1e-7)) {
      apus_philox_normal_f32($0[0], Int64(n), key, first, 0.5, 2)
    } reference: {
      Reference<Double>.philoxNormal($0[0], n, key, first, 0.5, 2)
    }
    var whole = unset
    apus_philox_normal_f32(&whole, Int64(n), key, first, 0.5, 2)
    var part = [Float](repeating: 0, count: 100)
    apus_philox_normal_f32(&part, 100, key, first + 5000, 0.5, 2)
    #expect(part[...] == whole[5000..<5100])
    let mean = whole.reduce(0.0) { $0 + Double($1) } / Double(n)
    let variance = whole.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(n)
    #expect(abs(mean - 0.5) < 0.08 && abs(variance - 4) < 0.25)
  }
}
