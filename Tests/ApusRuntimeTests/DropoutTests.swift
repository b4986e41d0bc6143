import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import Testing

/// Dropout without stored masks.
@Suite(.serialized) struct DropoutTests {
  private static let model = SmallModels.gpt2
  private static let tokenWeight = 1.0 / 22

  private func program(
    _ recomputation: RecomputationSettings = .none, precision: PrecisionPolicy = .fp32, microBatch: Int = 2,
    isFused: Bool = true
  ) -> StepProgram {
    var settings = TrainingProgramSettings(
      microBatchSize: microBatch, sequenceLength: 7, recomputation: recomputation, precision: precision,
      evaluates: true)
    settings.dropout = 0.3
    settings.isFused = isFused
    return .training(Self.model, settings)
  }

  private static let key: [DropoutKey: Int32] = [.seedLow: 77, .seedHigh: 5, .step: 3, .firstRow: 0]

  private func prepare(_ interpreter: Interpreter<Double>) {
    interpreter.prepare(tokenWeight: Self.tokenWeight)
    for (field, value) in Self.key {
      interpreter.ints(interpreter.program.dropoutKey!)[field.rawValue] = value
    }
  }

  private func prepared(_ program: StepProgram) throws -> Executor {
    let executor = try Executor(program, threads: 2)
    executor.poison()
    executor.prepare(tokenWeight: Self.tokenWeight)
    for (field, value) in Self.key { executor.ints(program.dropoutKey!)[field.rawValue] = value }
    return executor
  }

  private func gradients(_ executor: Executor) -> [Float] {
    executor.program.units.flatMap { unit in
      unit.parameters.flatMap { executor.values(unit.gradient(of: $0.tensor)) }
    }
  }

  /// Embeddings, and two branches a layer; evaluation drops nothing.
  @Test func placesOfGPT2() throws {
    let apart = program(isFused: false)
    let sites = apart.segment(.forward)!.instructions.compactMap { instruction in
      if case .dropout(let dropout) = instruction.op { dropout.site } else { nil }
    }
    #expect(sites == Array(0..<1 + 2 * Self.model.layerCount))
    #expect(!apart.segment(.evaluation)!.instructions.contains { $0.op.name.contains("dropout") })
    // Fusion leaves the one that no addition follows.
    let fused = program().segment(.forward)!.instructions.map(\.op.name)
    #expect(fused.filter { $0 == "dropout" }.count == 1)
    #expect(fused.filter { $0 == "dropout and add" }.count == 2 * Self.model.layerCount)
  }

  @Test func gradientsEqualDifferences() throws {
    let interpreter = Interpreter<Double>(program())
    prepare(interpreter)
    let vocabulary = Self.model.vocabularySize
    _ = try interpreter.step(vocabulary: vocabulary)
    let units = interpreter.program.units
    let gradients = units.map { unit in
      unit.parameters.map { parameter in
        let pointer = interpreter.scalars(unit.gradient(of: parameter.tensor))
        return (0..<parameter.tensor.count).map { pointer[$0] }
      }
    }
    for (unit, unitGradients) in zip(units, gradients) {
      for (parameter, gradient) in zip(unit.parameters, unitGradients) {
        let count = parameter.tensor.count
        let direction = (0..<count).map { SmallModels.noise($0 + 31) }
        let expected = (0..<count).reduce(0.0) { $0 + gradient[$1] * direction[$1] }
        let values = interpreter.scalars(parameter.tensor)
        func loss(_ distance: Double) throws -> Double {
          for index in 0..<count { values[index] += distance * direction[index] }
          defer { for index in 0..<count { values[index] -= distance * direction[index] } }
          return try interpreter.step(vocabulary: vocabulary)
        }
        let difference = try (loss(1e-5) - loss(-1e-5)) / 2e-5
        #expect(abs(difference - expected) <= 1e-7 + 1e-6 * abs(expected), "\(parameter.name)")
      }
    }
  }

  @Test(arguments: [PrecisionPolicy.fp32, .bf16SummingInFloat32])
  func theExecutorDropsTheSame(_ precision: PrecisionPolicy) throws {
    let program = program(precision: precision)
    let expected = Interpreter<Double>(program)
    prepare(expected)
    let loss = try expected.step(vocabulary: Self.model.vocabularySize)
    let executor = try prepared(program)
    try executor.step(vocabulary: Self.model.vocabularySize)
    let tolerance = precision == .fp32 ? 1e-5 : 2e-3
    #expect(abs(Double(executor.floats(program.loss!)[0]) - loss) < tolerance * loss)
    let numbers = program.units.flatMap { unit in
      unit.parameters.flatMap { parameter in
        let gradient = unit.gradient(of: parameter.tensor)
        return (0..<gradient.count).map { expected.scalars(gradient)[$0] }
      }
    }
    var (difference, norm) = (0.0, 0.0)
    for (a, b) in zip(gradients(executor), numbers) {
      difference += (Double(a) - b) * (Double(a) - b)
      norm += b * b
    }
    #expect((difference / norm).squareRoot() < (precision == .fp32 ? 2e-6 : 1e-2))
  }

  /// Recomputation draws the same numbers again, and so does another step with the same key; another key does
  /// not.
  @Test(arguments: [PrecisionPolicy.fp32, .bf16SummingInFloat32])
  func recomputationIsBitIdentical(_ precision: PrecisionPolicy) throws {
    var results: [[Float]] = []
    for settings in [RecomputationSettings.none, .selective, .full] {
      let executor = try prepared(program(settings, precision: precision))
      try executor.step(vocabulary: Self.model.vocabularySize)
      results.append(gradients(executor))
      executor.ints(executor.program.dropoutKey!)[DropoutKey.step.rawValue] += 1
      try executor.step(vocabulary: Self.model.vocabularySize)
      #expect(gradients(executor) != results[0])
    }
    #expect(results[1] == results[0] && results[2] == results[0])
  }

  /// What is dropped depends on a row's place in the whole batch, not on how the batch is divided.
  @Test func dividingTheBatchChangesNothing() throws {
    let vocabulary = Self.model.vocabularySize
    let split = Interpreter<Double>(program())
    prepare(split)
    let loss = try split.step(vocabulary: vocabulary)
    let whole = Interpreter<Double>(program(microBatch: 4))
    prepare(whole)
    let parts = (0..<2).map {
      SmallModels.tokens(split.program, vocabulary: vocabulary, microbatch: $0)
    }
    whole.ints(whole.program.tokens).update(from: parts.flatMap(\.ids), count: 28)
    whole.ints(whole.program.targets!).update(from: parts.flatMap(\.targets), count: 28)
    try whole.run(.forward)
    try whole.run(.backward)
    #expect(abs(whole.scalars(whole.program.loss!).pointee - loss) < 1e-12)
    for (a, b) in zip(split.program.units, whole.program.units) {
      for (p, q) in zip(a.parameters, b.parameters) {
        let (x, y) = (split.scalars(a.gradient(of: p.tensor)), whole.scalars(b.gradient(of: q.tensor)))
        for index in 0..<p.tensor.count { #expect(abs(x[index] - y[index]) < 1e-12) }
      }
    }
  }

  /// Fusing dropout with the addition behind it changes no bit.
  @Test(arguments: [ElementType.float32, .bfloat16])
  func fusingWithTheAdditionChangesNothing(_ type: ElementType) throws {
    var step = StepRecorder()
    let numbers = (0..<2).map { step.tensor("numbers \($0)", .input, Signature(9, 20)) }
    let inputs = numbers.map { step.tensor("\($0.storage) rounded", .input, Signature(9, 20, type)) }
    let key = step.tensor("key", .input, Signature(1, 4, .int32))
    step.dropout = DropoutRecording(probability: 0.4, key: key)
    let sum = step.add(inputs[0], step.dropout(inputs[1]))
    let groups = [[Segment(.forward, step.takeInstructions())]]
    let control = step.tensor("control", .input, Signature(1, Control.allCases.count))
    var results: [[Float]] = []
    for groups in [groups, Fusion.apply(groups, storages: step.storages)] {
      var program = StepProgram(units: [], tokens: key, targets: nil, control: control, tables: [])
      program.groups = groups
      program.storages = step.storages
      let executor = try Executor(program, threads: 2)
      for (field, value) in Self.key { executor.ints(key)[field.rawValue] = value }
      for (from, to) in zip(numbers, inputs) {
        let values = executor.floats(from)
        for index in values.indices { values[index] = Float(SmallModels.noise(index + from.storage)) }
        executor.round(from, into: to)
      }
      try executor.run(.forward)
      results.append(executor.values(sum))
    }
    #expect(
      Fusion.apply(groups, storages: step.storages)[0][0].instructions.map(\.op.name) == ["dropout and add"])
    #expect(results[0] == results[1])
    let residual = (0..<180).map { type.rounded(Float(SmallModels.noise($0 + numbers[0].storage))) }
    let kept = zip(results[0], residual).count { $0 != $1 }
    #expect(kept > 80 && kept < 140)
  }
}
