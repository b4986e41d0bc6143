import ApusCore
import ApusModels
import ApusProgram
import Testing

/// Element types and bytes of 16-bit programs.
@Suite struct PrecisionPlanTests {
  /// S10, S11: what a policy keeps of each parameter, by role: weights, gradients, optimizer states.
  @Test(arguments: [
    (PrecisionPolicy.fp32, 4, 4, 8), (.bf16, 2, 2, 12), (.bf16SummingInFloat32, 2, 4, 12),
    (.fp16, 2, 4, 12),
  ])
  func bytesAParameter(_ policy: PrecisionPolicy, _ weights: Int, _ gradients: Int, _ states: Int) throws {
    for name in ["gpt2-124m", "llama-3-8b"] {
      let shape = try #require(ModelPresets.named(name))
      let program = Samples.program(shape, microBatch: 1, sequence: 8, evaluates: false, precision: policy)
      let count = program.parameterCount
      #expect(program.byteCount(of: .parameter) == weights * count)
      #expect(program.byteCount(of: .gradient) == gradients * count)
      #expect(program.byteCount(of: .optimizerState) == states * count)
    }
  }

  /// Activations and their gradients have the compute type; statistics, log-sum-exp, losses and norms float32.
  @Test(arguments: Samples.small, [PrecisionPolicy.bf16, .bf16SummingInFloat32, .fp16])
  func typesOfActivations(_ model: ModelConfiguration, _ policy: PrecisionPolicy) {
    let program = Samples.program(model, precision: policy)
    for instruction in program.segments.flatMap(\.instructions) {
      for output in instruction.outputs.map(\.tensor) {
        let storage = program.storages[output.storage]
        guard storage.role == .activation else { continue }
        // One number a row, or one a row and head, is a statistic; a matrix has the compute type.
        let isStatistic = output.rows == 1 || output.rows == model.headCount
        #expect(output.type == (isStatistic ? .float32 : policy.compute), "\(storage.name)")
        #expect(storage.type == output.type)
      }
    }
    for result in program.storages where result.role == .result {
      #expect(result.type == (result.name == "sum of squares" ? .float64 : .float32))
    }
  }

  /// Transient memory is about half of float32's: all but the statistics is.
  @Test func activationsHalve() throws {
    let shape = try #require(ModelPresets.named("gpt2-124m"))
    func plan(_ policy: PrecisionPolicy) -> MemoryPlan {
      MemoryPlan(
        Samples.program(shape, microBatch: 4, sequence: 256, evaluates: false, precision: policy),
        workspace: Samples.workspace)
    }
    let ratio = Double(plan(.bf16).transientBytes) / Double(plan(.fp32).transientBytes)
    #expect(ratio > 0.5 && ratio < 0.52)
  }

  /// Issue: packing loses less than 3 % in 16-bit programs; here it loses less than half a percent, as in fp32.
  @Test(arguments: ["gpt2-124m", "gpt2-350m", "llama-110m", "llama-tiny", "llama-3.2-1b"])
  func waste(name: String) throws {
    let shape = try #require(Samples.presets.first { $0.name == name }).shape
    for policy in [PrecisionPolicy.bf16, .bf16SummingInFloat32] {
      for (microBatch, sequence) in [(1, 128), (4, 128), (8, min(1024, shape.maximumSequenceLength))] {
        let program = Samples.program(
          shape, microBatch: microBatch, sequence: sequence, evaluates: false, precision: policy)
        #expect(
          MemoryPlan(program, workspace: Samples.workspace).waste < 0.005, "\(microBatch) x \(sequence)")
      }
    }
  }
}
