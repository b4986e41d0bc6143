import ApusCore
import ApusModels
import ApusProgram
import ApusReport
import ApusTraining
import Foundation
import Testing

/// A profile of a small model: what is measured from outside against what the plan says.
@Suite(.serialized) struct StepProfilerTests {
  private static let model = ModelConfiguration(
    family: .llama, vocabularySize: 512, maximumSequenceLength: 128, layerCount: 3, hiddenSize: 128,
    headCount: 4,
    keyValueHeadCount: 2, intermediateSize: 256)

  private func profile(
    accumulation: Int = 1, recomputation: RecomputationSettings = .none, precision: PrecisionPolicy = .fp32
  ) throws -> (report: ProfileReport, trace: TraceFile) {
    let settings = TrainingProgramSettings(
      microBatchSize: 4, sequenceLength: 64, recomputation: recomputation, precision: precision)
    return try StepProfiler(
      .init(
        title: "small", model: Self.model, settings: settings, accumulation: accumulation, threads: 2,
        command: ["apus", "profile"]), sizes: [256]
    ).run(steps: 2) { _ in }
  }

  private func sums(_ series: [ProfileReport.Series]) -> [Int] {
    (series.first?.bytes.indices).map { $0.map { index in series.reduce(0) { $0 + $1.bytes[index] } } } ?? []
  }

  /// The pages that instructions really read and write give the curve that the plan predicts, at every instruction,
  /// to the pages at the ends of tensors; and the last planned byte is the last that is touched.
  @Test(arguments: [RecomputationSettings.none, .full], [1, 2])
  func measuredMemoryIsPredictedMemory(_ recomputation: RecomputationSettings, _ accumulation: Int) throws {
    let memory = try profile(accumulation: accumulation, recomputation: recomputation).report.memory
    #expect(memory.highWaterBytes <= memory.plannedBytes)
    #expect(memory.highWaterBytes > memory.plannedBytes - MemoryPlan.alignment)
    let measured = try #require(memory.measured)
    check(memory, measured)
  }

  /// Values that outlive an instruction are measured as predicted; scratch memory is reserved for the worst case and
  /// need not all be touched.
  private func check(_ memory: ProfileReport.Memory, _ measured: [ProfileReport.Series]) {
    func values(_ series: [ProfileReport.Series]) -> [Int] { sums(series.filter { $0.name != "workspace" }) }
    let (predicted, outside) = (values(memory.predicted), values(measured))
    #expect(predicted.count == memory.times.count && outside.count == predicted.count)
    // Each of some forty tensors may share a page with its neighbour; a result that nobody reads counts as scratch.
    let slack = 40 * memory.chunkBytes
    for (index, (a, b)) in zip(predicted, outside).enumerated() where abs(a - b) > slack {
      Issue.record("\(memory.labels[index]): \(a) predicted, \(b) measured")
    }
    for (a, b) in zip(sums(memory.predicted), sums(measured)) { #expect(b <= a + slack) }
    #expect(abs(predicted.max()! - outside.max()!) < 12 * memory.chunkBytes)
  }

  /// S7 and S8: activations are highest where backward begins and gone at its end, gradients highest at its end;
  /// optimizer states appear with the first update, predicted and measured.
  @Test func theCurvesTellTheStoryOfAStep() throws {
    let (report, trace) = try profile()
    let memory = report.memory
    func mark(_ name: String) throws -> Int { try #require(memory.marks.first { $0.name == name }?.index) }
    let (backward, synchronise) = (try mark("step 1 backward"), try mark("step 1 synchronise"))
    let (optimizer, second) = (try mark("step 1 optimizer"), try mark("step 2 forward"))
    for series in [memory.predicted, try #require(memory.measured)] {
      func bytes(_ name: String) throws -> [Int] {
        try #require(series.first { $0.name == name }?.bytes)
      }
      let (activations, gradients) = (try bytes("activations"), try bytes("gradients"))
      let states = try bytes("optimizer states")
      let top = activations.prefix(synchronise).max()!
      #expect(abs(activations.firstIndex(of: top)! - backward) < 12)
      #expect(activations[synchronise - 1] < top / 5)
      #expect(activations[optimizer] == 0)
      // A few chunks hold the end of one role and the beginning of the next.
      let shared = 4 * memory.chunkBytes
      #expect(gradients[backward - 1] <= shared && gradients[second] <= shared)
      #expect(gradients.max()! - gradients[synchronise] <= shared)
      #expect(states[synchronise] <= shared && states[second] > 10 * shared)
      #expect(states[second...].max()! - states[second] <= shared)
    }
    // Step 1 touches its memory little by little, step 2 nothing new.
    let touched = try #require(memory.touched)
    #expect(touched[backward] > touched[0] && touched[second] > touched[synchronise])
    #expect(touched[second] == touched.last)

    // Times add up, and every instruction of the timed steps is in the trace.
    let inside = report.operations.reduce(0) { $0 + $1.seconds }
    #expect(inside > 0 && inside <= report.arithmetic.stepSeconds)
    let object = try JSONSerialization.jsonObject(with: Data(trace.json.utf8)) as? [String: Any]
    let events = try #require(object?["traceEvents"] as? [[String: Any]])
    let instructions = events.filter { $0["ph"] as? String == "X" && $0["tid"] as? Int == 3 }
    #expect(instructions.count == memory.times.count)
    let details = try #require(instructions[0]["args"] as? [String: Any])
    #expect(Set(details.keys).isSuperset(of: ["FLOPs", "bytes", "bound", "percent of bound", "GB/s"]))

    let page = ProfilePage(report, charts: ChartLibrary(script: "/* charts */", path: "")).text
    #expect(page.contains("Memory against capacity") && page.contains("Communication exposed"))
    #expect(!page.contains("http://") && !page.contains("https://"))
    #expect(ProfileTables(report).text.contains("outside instructions"))
  }

  @Test func sixteenBitStepsAreProfiledToo() throws {
    let memory = try profile(precision: .bf16).report.memory
    #expect(memory.highWaterBytes > memory.plannedBytes - MemoryPlan.alignment)
    check(memory, try #require(memory.measured))
  }
}
