import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import Foundation
import Testing

@Suite struct MemoryFitTests {
  private func fit(_ estimate: MemoryEstimate, _ available: ByteCount) -> MemoryFit {
    MemoryFit(estimate, available: available, workspace: Estimates.workspace)
  }

  /// S25: what is found fits, and one more does not.
  @Test func largestMicroBatch() throws {
    let shape = try #require(Estimates.shape("gpt2-124m"))
    let estimate = try Estimates.estimate(shape, microBatch: 64, sequence: 256)
    let available = ByteCount(6_000_000_000)
    let fit = fit(estimate, available)
    guard case .microBatch(let count) = fit.remedy else {
      Issue.record("\(fit.remedy)")
      return
    }
    #expect(!fit.fits && fit.largestMicroBatch == count && count > 1 && count < 64)
    #expect(try Estimates.estimate(shape, microBatch: count, sequence: 256).peak <= available)
    #expect(try Estimates.estimate(shape, microBatch: count + 1, sequence: 256).peak > available)
  }

  /// Exactly as much as is needed fits; a byte less does not.
  @Test func theByteDecides() throws {
    let estimate = try Estimates.estimate(Estimates.odd, microBatch: 4, sequence: 12)
    let exact = fit(estimate, estimate.peak)
    #expect(exact.fits && exact.remedy == .none(largestMicroBatch: 4))
    let less = fit(estimate, ByteCount(estimate.peak.bytes - 1))
    #expect(!less.fits && less.remedy == .microBatch(3))
  }

  @Test func aShorterSequence() throws {
    let shape = try #require(Estimates.shape("gpt2-124m"))
    let estimate = try Estimates.estimate(shape, microBatch: 2, sequence: 1024)
    let available = ByteCount(try Estimates.estimate(shape, sequence: 300).peak.bytes)
    #expect(fit(estimate, available).remedy == .sequenceLength(300))
    #expect(fit(estimate, available).largestMicroBatch == 0)
  }

  @Test func nothingFits() throws {
    let estimate = try Estimates.estimate(Estimates.odd, microBatch: 2, sequence: 12)
    let persistent = ByteCount(estimate.plan.persistentBytes)
    #expect(fit(estimate, ByteCount(1000)).remedy == .smallerModel(persistent: persistent))
  }

  @Test func bisection() {
    for answer in [1, 2, 3, 7, 8, 9, 100, 1000] {
      #expect(MemoryFit.largest(upTo: 1000, where: { $0 <= answer }) == answer)
    }
    #expect(MemoryFit.largest(upTo: 1000, where: { _ in false }) == nil)
    #expect(MemoryFit.largest(upTo: 0, where: { _ in true }) == nil)
    #expect(MemoryFit.largest(upTo: 13, where: { _ in true }) == 13)
  }

  /// The keys that scripts rely on, with the values of the estimate.
  @Test func summaryKeys() throws {
    let estimate = try Estimates.estimate(Estimates.odd, microBatch: 2, sequence: 12, accumulation: 3)
    let fit = fit(estimate, ByteCount(1 << 30))
    let data = try JSONEncoder().encode(EstimateSummary(estimate, fit, model: "odd"))
    let json = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    func number(_ key: String) -> Int? { (json[key] as? NSNumber)?.intValue }
    #expect(number("parameters") == estimate.parameters.enumerated)
    #expect(number("parameters_formula") == estimate.parameters.formula)
    #expect(number("planned_bytes") == estimate.plan.totalBytes)
    #expect(number("lower_bound_bytes") == estimate.plan.lowerBound)
    #expect(number("peak_step_1_bytes") == estimate.plan.totalBytes)
    #expect(number("peak_later_bytes") == estimate.plan.totalBytes)
    #expect(number("peak_saving_bytes") == estimate.peakOfSaving.bytes)
    #expect(number("flops_per_step") == 6 * estimate.flops.counted)
    #expect(number("tokens_per_step") == 72 && number("gradient_accumulation") == 3)
    #expect((json["waste"] as? NSNumber)?.doubleValue == estimate.plan.waste)
    #expect(json["fits"] as? Bool == true)
    let bytes = try #require(json["bytes"] as? [String: Int])
    #expect(
      bytes.keys.sorted() == [
        "activation", "communication", "gradient", "input", "optimizer_state", "parameter", "result",
        "shared_by_gradients", "workspace",
      ])
    #expect(bytes["shared_by_gradients"] == 0)
    #expect(bytes["optimizer_state"] == 2 * (bytes["parameter"] ?? 0))
    #expect(
      json.keys.sorted() == [
        "available_bytes", "bytes", "communication", "fits", "flops_per_step", "flops_per_step_formula",
        "flops_per_token_difference", "gradient_accumulation", "growing_allocator",
        "largest_micro_batch_size",
        "largest_tensors", "lower_bound_bytes", "micro_batch_size", "model", "parameters",
        "parameters_difference", "parameters_formula", "peak_later_bytes", "peak_saving_bytes",
        "peak_step_1_bytes", "planned_bytes", "ranks", "saved_activations", "sequence_length",
        "tokens_per_step",
        "waste",
      ])
  }
}
