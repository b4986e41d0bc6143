import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import Testing

/// There is one model of a step: what a plan prices is what training the configuration that it prints records.
@Suite struct SameProgramTests {
  static let models = [
    "family: gpt2, layers: 6, hidden_size: 32, heads: 4, maximum_sequence_length: 32, vocabulary_size: 288",
    "family: llama, layers: 6, hidden_size: 32, heads: 4, key_value_heads: 2, maximum_sequence_length: 32, "
      + "vocabulary_size: 289",
  ]

  typealias Choice = PlanRequest.Choice

  static let choices: [Choice] = {
    func choice(
      data: Int = 1, tensor: Int = 1, context: Int = 1, pipeline: Int = 1, zero: Int = 0, shard: Int? = nil,
      _ recomputation: JobRecomputation = .none, microBatch: Int = 2
    ) -> Choice {
      Choice(
        data: data, tensor: tensor, context: context, pipeline: pipeline, schedule: .oneForwardOneBackward,
        zeroStage: zero, shardDegree: shard ?? data, recomputation: recomputation, microBatch: microBatch)
    }
    var choices = [choice(), choice(.full), choice(data: 4, .attention), choice(tensor: 2)]
    choices += [choice(tensor: 4, .full), choice(pipeline: 3), choice(context: 2)]
    choices.append(choice(data: 2, tensor: 2, context: 2, pipeline: 2, .full))
    choices.append(choice(data: 4, pipeline: 2, zero: 1))
    choices.append(choice(data: 4, tensor: 2, zero: 2, .attention))
    choices.append(choice(data: 4, tensor: 2, pipeline: 6, zero: 3, shard: 2))
    choices.append(choice(data: 2, context: 4, zero: 3, .full))
    return choices
  }()

  /// Layouts, precisions and recomputations: the plan's job and the configuration that it prints give the same
  /// storages and the same instructions on every device of the pipeline.
  @Test(arguments: models) func planningAndTrainingRecordTheSame(_ shape: String) throws {
    let hardware = try #require(try HardwareCatalogue.shipped().named("H100-80GB"))
    var wide = JobNumbers(of: .bf16)
    wide.gradientBytes = 4
    let kinds: [(JobNumbers, PrecisionPolicy)] = [
      (JobNumbers(of: .fp32), .fp32), (JobNumbers(of: .bf16), .bf16), (wide, .bf16SummingInFloat32),
    ]
    for choice in Self.choices {
      for (numbers, policy) in kinds {
        let document =
          "model: {\(shape)}\ndata: {train: [corpus.txt], tokenizer_vocabulary_size: 280, validation_fraction: 0}\n"
        let model = try #require(
          try Configuration.parse(yaml: document + "training: {steps: 1}", name: "model").model.shape)
        let request = PlanRequest(
          model: model, hardware: hardware,
          devices: choice.data * choice.tensor * choice.context * choice.pipeline, sequenceLength: 32,
          globalBatchTokens: 16 * 32, numbers: numbers)
        let yaml = document + request.yaml(choice) + "  steps: 1\n"
        let configuration = try Configuration.parse(yaml: yaml, name: "plan")
        #expect(configuration.training.precisionPolicy == policy)
        let job = request.job(choice)
        for device in 0..<choice.pipeline {
          let trained = StepProgram.training(
            model, try configuration.programSettings(for: model, device: device) { _ in 0 })
          let planned = StepProgram.training(job.recordedModel, job.programSettings(device: device))
          #expect(trained.groups == planned.groups, "\(choice), \(policy.name), device \(device)")
          #expect(trained.storages == planned.storages && trained.mesh == planned.mesh)
          let calls = trained.communication(
            microbatches: job.layout.microbatches, at: MeshPosition(trained.mesh, rank: 0))
          #expect(
            calls
              == planned.communication(
                microbatches: configuration.training.gradientAccumulation,
                at: MeshPosition(planned.mesh, rank: 0)))
        }
      }
    }
  }

  /// A layer recorded once and repeated is the stage with all its layers: FLOPs, seconds, kept bytes and messages.
  @Test(arguments: [1, 4], [1, 2]) func repeatedLayersAreTheUnrolledStages(tensor: Int, context: Int) throws {
    var job = try LayerPricesTests.job(layers: 8, tensor: tensor, sequenceParallel: tensor > 1)
    job.model.maximumSequenceLength = job.sequenceLength
    job.layout.context = context
    job.layout.pipeline = 3
    // Unfused: a norm behind a stage's boundary is not one with the addition before it.
    job.stack = SoftwareStack(.megatron)
    let constants = CostConstants()
    let (prices, cost) = (LayerPrices(job, constants), InstructionCost(job, constants))
    for (device, content) in StagePlan.stages(job).enumerated() {
      let stage = StepProgram.training(job.recordedModel, job.programSettings(device: device))
      let whole = LayerPrices.Parts(stage, job, cost)
      let layers = Double(content.layers)
      for pick in [\LayerPrices.Pair.forward, \.backward, \.weights] {
        var sum = prices.layer[keyPath: pick] * layers
        if content.hasEmbedding { sum += prices.opening[keyPath: pick] }
        if content.hasHead { sum += prices.ending[keyPath: pick] }
        let recorded =
          whole.opening[keyPath: pick] + whole.layers[keyPath: pick] + whole.ending[keyPath: pick]
        #expect(abs(sum.flops - recorded.flops) <= 1e-9 * recorded.flops, "device \(device)")
        #expect(abs(sum.device - recorded.device) <= 1e-9 * recorded.device, "device \(device)")
      }
      let messages = stage.communication(
        microbatches: 1, at: MeshPosition(stage.mesh, rank: device * tensor * context))[.pipeline]
      let boundaries = (content.hasEmbedding ? 0 : 1) + (content.hasHead ? 0 : 1)
      #expect(messages?[.send].map { Double($0.payloadBytes) } == Double(boundaries) * prices.input)
      let calls = whole.layers.forwardCalls.reduce(0) { $0 + $1.count }
      #expect(calls == content.layers * prices.layer.forwardCalls.reduce(0) { $0 + $1.count })
    }
  }
}
