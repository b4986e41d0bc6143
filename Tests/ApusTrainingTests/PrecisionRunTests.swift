import ApusCheckpoint
import ApusCore
import ApusModels
import ApusProgram
import ApusReport
import ApusRuntime
import ApusTraining
import Foundation
import Testing

/// Whole runs in 16-bit policies.
@Suite(.serialized) struct PrecisionRunTests {
  typealias Scratch = TrainingRunTests.Scratch

  /// A run that is interrupted and resumed ends with the same bits, in every policy.
  @Test(arguments: [
    ["training.precision=bf16"], ["training.precision=bf16", "training.gradient_precision=bf16"],
    ["training.precision=fp16"],
  ])
  func aResumedRunEqualsTheUninterruptedOne(_ overrides: [String]) throws {
    let scratch = try Scratch()
    _ = try scratch.run(try scratch.configuration(overrides))
    try FileManager.default.copyItem(atPath: scratch.path("run"), toPath: scratch.path("half"))
    try FileManager.default.removeItem(atPath: scratch.path("half/checkpoints/step-00000006"))
    _ = try scratch.run(try scratch.configuration(overrides, run: "half"), .resume)
    let (whole, resumed) = (try scratch.content("run", step: 6), try scratch.content("half", step: 6))
    #expect(whole.count == resumed.count && whole.count > 20)
    for (name, values) in whole {
      #expect(resumed[name]?.map(\.bitPattern) == values.map(\.bitPattern), "\(name)")
    }
    let metrics = try ["half", "run"].map { try MetricsFile.read(path: scratch.path("\($0)/metrics.jsonl")) }
    #expect(metrics[0].map(\.loss) == metrics[1].map(\.loss))
    #expect(metrics[0].map(\.validationLoss) == metrics[1].map(\.validationLoss))
    #expect(metrics[0].map(\.lossScale) == metrics[1].map(\.lossScale))
    // The checkpoint holds the master weights, not their rounded copies.
    let table = try #require(whole["model.embed_tokens.weight"])
    #expect(
      table.contains { ElementType.bfloat16.rounded($0) != $0 && ElementType.float16.rounded($0) != $0 })
  }

  @Test func bf16LearnsLikeFloat32() throws {
    let scratch = try Scratch()
    var losses: [[Double]] = []
    for precision in ["fp32", "bf16", "fp16"] {
      let configuration = try scratch.configuration(
        ["training.steps=60", "training.precision=\(precision)"], run: precision)
      _ = try scratch.run(configuration)
      losses.append(try MetricsFile.read(path: scratch.path("\(precision)/metrics.jsonl")).map(\.loss))
    }
    #expect(losses[0][59] < losses[0][0] - 1)
    for short in losses.dropFirst() {
      for (loss, expected) in zip(short, losses[0]) { #expect(abs(loss - expected) < 0.02 * expected) }
      #expect(short != losses[0])
    }
  }

  /// The scale and the number of skipped steps stand in the metrics of fp16 runs and nowhere else.
  @Test func theScaleIsLogged() throws {
    let scratch = try Scratch()
    _ = try scratch.run(try scratch.configuration(["training.precision=fp16"]))
    let lines = try MetricsFile.read(path: scratch.path("run/metrics.jsonl"))
    #expect(lines.allSatisfy { $0.lossScale != nil && $0.skippedSteps != nil })
    #expect(lines.last?.lossScale == LossScale.initial)
    let text = StepLine(stepCount: 6).text(lines[5])
    #expect(text.contains("scale") && text.contains("0 skipped"))
    _ = try scratch.run(try scratch.configuration(["training.precision=bf16"]), .overwrite)
    #expect(try MetricsFile.read(path: scratch.path("run/metrics.jsonl")).allSatisfy { $0.lossScale == nil })
  }

  @Test func theScaleHalvesOnOverflowAndDoublesAfterAWhile() {
    var scale = LossScale()
    scale.overflowed()
    scale.overflowed()
    #expect(scale.value == LossScale.initial / 4 && scale.skippedSteps == 2 && scale.goodSteps == 0)
    for _ in 1..<LossScale.patience { scale.succeeded() }
    #expect(scale.value == LossScale.initial / 4)
    scale.succeeded()
    #expect(scale.value == LossScale.initial / 2 && scale.goodSteps == 0)
    for _ in 0..<100 { scale.overflowed() }
    #expect(scale.value == LossScale.smallest && !scale.canShrink)
    for _ in 0..<50 * LossScale.patience { scale.succeeded() }
    #expect(scale.value == LossScale.largest)
  }

  /// An overflow skips the update and leaves weights and moments as they are; a smaller scale goes on, and its
  /// updates do not depend on it. Without a smaller scale the run stops.
  @Test func anOverflowSkipsTheUpdate() throws {
    let model = ModelConfiguration(
      family: .llama, vocabularySize: 40, maximumSequenceLength: 12, layerCount: 1, hiddenSize: 16,
      headCount: 2)
    let settings = TrainingProgramSettings(microBatchSize: 2, sequenceLength: 12, precision: .fp16)
    func loop() throws -> StepLoop {
      let executor = try Executor(.training(model, settings), threads: 1)
      executor.initializeParameters(seed: 3)
      return StepLoop(executor, microbatches: 1, samplesPerMicrobatch: 2, optimizer: settings.optimizer)
    }
    func masters(_ loop: StepLoop) -> [Float] {
      loop.executor.program.units.flatMap { Array(loop.executor.floats($0.master!)) }
    }
    let source = TokenWindows(
      tokens: (0..<100).map { Int32($0 * $0 % 40) }, sequenceLength: 12, vocabularySize: 40, seed: 1)
    let first = try loop()
    let start = masters(first)
    var scale = LossScale(LossScale.largest)
    var step = 0
    while true {
      step += 1
      let outcome = try first.run(step: step, learningRate: 1e-3, scale: scale, source)
      #expect(outcome.loss.isFinite)
      scale.record(outcome)
      guard outcome.isSkipped else { break }
      #expect(masters(first) == start && !outcome.gradientNorm.isFinite)
      #expect(first.executor.floats(first.executor.program.units[0].firstMoment!).allSatisfy { $0 == 0 })
    }
    #expect(scale.skippedSteps >= 1 && scale.skippedSteps == step - 1)
    #expect(masters(first) != start)
    // The same samples at a scale that never overflowed: the update is counted as the first one.
    let second = try loop()
    let shifted = TokenShift(source: source, samples: 2 * (step - 1))
    _ = try second.run(step: 1, learningRate: 1e-3, scale: LossScale(scale.value / 4), shifted)
    for (a, b) in zip(masters(first), masters(second)) { #expect(abs(a - b) < 1e-4) }
  }

  /// Samples that start later.
  private struct TokenShift: BatchSource {
    let source: TokenWindows
    let samples: Int

    func fill(
      inputs: UnsafeMutableBufferPointer<Int32>, targets: UnsafeMutableBufferPointer<Int32>, first: Int,
      count: Int
    ) throws {
      try source.fill(inputs: inputs, targets: targets, first: first + samples, count: count)
    }
  }
}
