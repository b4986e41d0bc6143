import ApusModels
import ApusProgram
import ApusRuntime
import CApusKernels
import Foundation
import Testing

/// The CPU backend against the interpreter in double precision, and the arena against the plan. Tests that
/// set the number of threads of the shared pool run one after another.
@Suite(.serialized) struct ExecutorTests {
  static let tokenWeight = 1.0 / 22

  @Test(arguments: SmallModels.all)
  func stepEqualsTheInterpreter(_ model: ModelConfiguration) throws {
    let program = SmallModels.program(model)
    let expected = Interpreter<Double>(program)
    expected.prepare(tokenWeight: Self.tokenWeight)
    let executor = try Executor(program, threads: 2)
    executor.poison()
    executor.prepare(tokenWeight: Self.tokenWeight)
    let loss = try expected.step(vocabulary: model.vocabularySize)
    try executor.step(vocabulary: model.vocabularySize)
    #expect(abs(Double(executor.floats(program.loss!)[0]) - loss) < 1e-5 * loss)
    for kind in [Segment.Kind.synchronise, .optimizer] {
      try expected.run(kind)
      try executor.run(kind)
    }
    let norm = expected.scalars(program.gradientNorm!).pointee
    #expect(abs(Double(executor.floats(program.gradientNorm!)[0]) - norm) < 1e-5 * norm)
    for unit in program.units {
      for parameter in unit.parameters {
        let gradient = unit.gradient(of: parameter.tensor)
        #expect(error(executor, expected, gradient) < 2e-6, "gradient of \(parameter.name)")
        #expect(error(executor, expected, parameter.tensor) < 1e-6, "\(parameter.name) after the update")
      }
    }
  }

  /// Norm of the difference over the norm, with a floor for tensors that are zero.
  private func error(_ executor: Executor, _ expected: Interpreter<Double>, _ tensor: Tensor) -> Double {
    let (a, b) = (executor.floats(tensor), expected.scalars(tensor))
    var (difference, norm) = (0.0, 1e-14)
    for index in 0..<tensor.count {
      difference += (Double(a[index]) - b[index]) * (Double(a[index]) - b[index])
      norm += b[index] * b[index]
    }
    return (difference / norm).squareRoot()
  }

  @Test(arguments: SmallModels.all)
  func nothingWritesOutsideItsSlot(_ model: ModelConfiguration) throws {
    let program = SmallModels.program(model, evaluates: true)
    let executor = try Executor(program, threads: 2)
    executor.poison()
    executor.prepare(tokenWeight: Self.tokenWeight)
    for step in 0..<2 {
      executor.load(vocabulary: model.vocabularySize, microbatch: step)
      for kind in [Segment.Kind.forward, .backward, .synchronise, .optimizer, .evaluation] {
        try executor.runAudited(kind, microbatch: step)
      }
    }
    // The plan is exact: the last planned byte was touched and none after it.
    let slack = MemoryPlan.alignment
    #expect(executor.arenaHighWater <= executor.plan.totalBytes)
    #expect(executor.arenaHighWater > executor.plan.totalBytes - slack)
    #expect(executor.floats(program.loss!)[0].isFinite)
  }

  /// A write past a slot is caught, by the audit and by the high-water mark.
  @Test func aPlantedWriteIsCaught() throws {
    let model = SmallModels.gpt2
    var program = SmallModels.program(model)
    // One instruction claims to write less than it does.
    let index = program.groups[0][0].instructions.firstIndex { $0.op.name == "bias and gelu" }!
    program.groups[0][0].instructions[index].outputs[0].tensor.rows -= 1
    let executor = try Executor(program, threads: 2)
    executor.poison()
    executor.prepare(tokenWeight: Self.tokenWeight)
    executor.load(vocabulary: model.vocabularySize, microbatch: 0)
    #expect(throws: SlotViolation.self) { try executor.runAudited(.forward) }

    let clean = try Executor(SmallModels.program(model), threads: 2)
    clean.poison()
    let last = clean.floats(clean.program.parameters[0].tensor).baseAddress!
    UnsafeMutableRawPointer(last).advanced(by: clean.plan.totalBytes).storeBytes(of: 1, as: Float.self)
    #expect(clean.arenaHighWater > clean.plan.totalBytes)
  }

  /// The same step twice, and with another number of threads, gives the same bits.
  @Test func stepsAreReproducible() throws {
    let model = SmallModels.llama
    let program = SmallModels.program(model)
    var results: [[Float]] = []
    for _ in 0..<2 {
      let executor = try Executor(program, threads: 2)
      executor.prepare(tokenWeight: Self.tokenWeight)
      try executor.step(vocabulary: model.vocabularySize)
      try executor.run(.synchronise)
      try executor.run(.optimizer)
      results.append(program.units.flatMap { Array(executor.floats($0.weights)) })
    }
    #expect(results[0].elementsEqual(results[1]) { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) })
  }

  @Test func evaluationGivesTheLossOfEachToken() throws {
    let model = SmallModels.llama
    let program = SmallModels.program(model, evaluates: true)
    let executor = try Executor(program, threads: 2)
    executor.prepare(tokenWeight: 1)
    executor.load(vocabulary: model.vocabularySize, microbatch: 0)
    try executor.run(.evaluation)
    let sum = executor.floats(program.tokenLosses!).reduce(0) { $0 + Double($1) }
    try executor.run(.forward)
    try executor.run(.backward)
    #expect(abs(sum - Double(executor.floats(program.loss!)[0])) < 1e-5 * sum)
  }

  @Test func aProgramThatDoesNotFitIsRefused() {
    let model = ModelConfiguration(
      family: .llama, vocabularySize: 1000, maximumSequenceLength: 8, layerCount: 400, hiddenSize: 16384,
      headCount: 128)
    let program = StepProgram.training(model, TrainingProgramSettings(microBatchSize: 1, sequenceLength: 8))
    #expect(throws: RuntimeFailure.self) { _ = try Executor(program, threads: 2) }
  }

  /// Tokens one at a time through the caches give the logits of the whole sequence.
  @Test(arguments: [SmallModels.gpt2, SmallModels.llama])
  func cachesEqualWholeSequences(_ model: ModelConfiguration) throws {
    let cached = StepProgram.generation(model, capacity: 8, prefillLength: 3)
    let generator = try Executor(cached, threads: 2)
    generator.poison()
    fill(generator)
    let evaluation = StepProgram.evaluation(model, microBatchSize: 1, sequenceLength: 7)
    let whole = try Executor(evaluation, threads: 2)
    fill(whole)
    let ids = (0..<8).map { Int32(($0 * 5 + 2) % model.vocabularySize) }
    _ = whole.ints(evaluation.tokens).update(fromContentsOf: ids.prefix(7))
    _ = whole.ints(evaluation.targets!).update(fromContentsOf: ids.dropFirst())
    try whole.run(.evaluation)
    var position = 0
    for (kind, count) in [(Segment.Kind.prefill, 3), (.decode, 1), (.decode, 1), (.decode, 1)] {
      _ = generator.ints(cached.tokens).update(fromContentsOf: ids[position..<position + count])
      generator.ints(cached.start!)[0] = Int32(position)
      try generator.run(kind)
      position += count
      let logits = generator.floats(cached.logits!).map(Double.init)
      let target = Int(ids[position])
      let maximum = logits.max()!
      let loss = maximum + log(logits.reduce(0) { $0 + exp($1 - maximum) }) - logits[target]
      #expect(abs(loss - Double(whole.floats(evaluation.tokenLosses!)[position - 1])) < 1e-5)
    }
  }

  private func fill(_ executor: Executor) {
    for (number, parameter) in executor.program.parameters.enumerated() {
      let values = executor.floats(parameter.tensor)
      for index in values.indices { values[index] = Float(SmallModels.weight(parameter, number, index)) }
    }
  }
}
