import ApusCore
import ApusModels

/// Turns a row's columns into a job, with documented defaults for blank optional fields.
enum RowReading {
  typealias Missing = RowFields.Missing

  static func job(_ fields: inout RowFields, _ catalogue: HardwareCatalogue) throws(Missing) -> TrainingJob {
    let model = try self.model(&fields)
    let hardware = try self.hardware(&fields, catalogue)
    let layout = try self.layout(&fields)
    let stack = self.stack(fields)
    let numbers = self.numbers(&fields, layout)
    let experts = try experts(&fields, model, layout)
    return TrainingJob(
      model: model, layout: layout, sequenceLength: try fields.needed("seq_len"), numbers: numbers,
      recomputation: recomputation(&fields), attention: attention(&fields, stack, hardware), stack: stack,
      hardware: hardware, experts: experts)
  }

  // MARK: Model

  private static func model(_ fields: inout RowFields) throws(Missing) -> ModelConfiguration {
    let hidden = try fields.needed("hidden")
    let heads = try fields.count("heads", default: max(1, hidden / 128))
    let kind = fields.text("mlp").lowercased()
    if kind.isEmpty { fields.note("mlp", "gelu") }
    let gated = kind.contains("swiglu") || kind.contains("geglu")
    let tied: Bool
    switch fields.text("tied_embed") {
    case "1": tied = true
    case "0": tied = false
    default:
      tied = !gated
      fields.note("tied_embed", tied ? "1" : "0")
    }
    let size = max(2, hidden / heads)
    guard size <= 1024 else {
      throw Missing(
        description: "hidden \(hidden) over heads \(heads) gives heads of \(size), at most 1024 is foreseen")
    }
    return ModelConfiguration(
      family: gated ? .llama : .gpt2, vocabularySize: try fields.needed("vocab"),
      maximumSequenceLength: try fields.needed("seq_len"), layerCount: try fields.needed("layers"),
      hiddenSize: hidden, headCount: heads,
      keyValueHeadCount: try fields.count("kv_heads", default: heads), headSize: size + size % 2,
      intermediateSize: try fields.count("ffn_hidden", default: gated ? 8 * hidden / 3 : 4 * hidden),
      tiedEmbeddings: tied)
  }

  // MARK: Hardware

  private static func hardware(
    _ fields: inout RowFields, _ catalogue: HardwareCatalogue
  ) throws(Missing) -> HardwareDescription {
    let name = fields.text("gpu")
    guard var hardware = catalogue.named(name) else {
      throw Missing(
        description: name.isEmpty
          ? "gpu is blank"
          : "gpu \"\(name)\" is not described; known are \(catalogue.names.joined(separator: ", "))")
    }
    let described = hardware.devicesPerNode
    let inNode = try fields.count("gpus_per_node", default: described)
    if !hardware.linksNodes || inNode > described { hardware.devicesPerNode = inNode }
    let joined = Double(hardware.devicesPerNode)
    let text = fields.text("interconnect")
    let network = InterconnectText(text, devicesPerNode: inNode)
    if let bandwidth = network.nodeBandwidth {
      hardware.network.bandwidth = bandwidth * joined / Double(inNode)
      hardware.network.name = text
    } else {
      hardware.network.bandwidth *= joined / Double(described)
      fields.note("interconnect", hardware.network.name)
    }
    let isPCIe = network.namesPCIe || name.lowercased().contains("pcie")
    if isPCIe, !hardware.nodeLink.name.hasPrefix("PCIe") { hardware.nodeLink = hardware.expressLink }
    if let curve = hardware.curve, network.namesCurve {
      hardware.network.latency = curve.hopLatency(nodeBandwidth: hardware.network.bandwidth)
    } else {
      hardware.curve = nil
    }
    return hardware
  }

  // MARK: Layout

  private static func layout(_ fields: inout RowFields) throws(Missing) -> JobLayout {
    let devices = try fields.needed("gpus")
    let tensor = try fields.count("tp", default: 1)
    let pipeline = try fields.count("pp", default: 1)
    let context = try fields.count("cp", default: 1)
    let others = tensor * pipeline * context
    guard devices.isMultiple(of: others) else {
      throw Missing(description: "\(devices) gpus are no multiple of tp x pp x cp = \(others)")
    }
    let data = try fields.count("dp", default: devices / others)
    guard data * others == devices else {
      throw Missing(description: "dp x tp x pp x cp is \(data * others), but there are \(devices) gpus")
    }
    let (microBatch, microbatches) = try batch(&fields, data: data)
    return JobLayout(
      ParallelLayout(
        data: data, tensor: tensor, context: context, pipeline: pipeline,
        expert: try fields.count("ep", default: 1), zeroStage: zeroStage(&fields),
        sequenceParallel: sequenceParallel(&fields)),
      schedule: try schedule(&fields, devices: pipeline, microbatches: microbatches),
      microBatchSize: microBatch, microbatches: microbatches)
  }

  /// Sequences of a micro-batch and micro-batches of a replica. What a row gives of the two wins over the global
  /// batch where they do not agree.
  private static func batch(
    _ fields: inout RowFields, data: Int
  ) throws(Missing) -> (microBatch: Int, microbatches: Int) {
    let sequences = try fields.needed("global_batch_seqs")
    let (written, accumulation) = (try fields.count("micro_batch"), try fields.count("grad_accum"))
    if written == nil, accumulation == nil, sequences < data {
      throw Missing(
        description: "global_batch_seqs \(sequences) leaves none of \(data) replicas a sequence each")
    }
    let microBatch = written ?? max(1, sequences / (data * (accumulation ?? sequences / data)))
    if written == nil { fields.note("micro_batch", "\(microBatch)") }
    let microbatches = accumulation ?? max(1, sequences / (data * microBatch))
    if accumulation == nil { fields.note("grad_accum", "\(microbatches)") }
    let whole = Double(data) * Double(microBatch) * Double(microbatches)
    let rows = Double(microBatch) * Double(try fields.needed("seq_len"))
    guard whole <= 0x1p30, rows <= 0x1p28 else {
      throw Missing(
        description: "micro_batch \(microBatch) x grad_accum \(microbatches) x dp \(data) "
          + "is more than can be foreseen")
    }
    if whole != Double(sequences) { fields.note("global_batch_seqs", "\(Int(whole))") }
    return (microBatch, microbatches)
  }

  private static func zeroStage(_ fields: inout RowFields) -> Int {
    let text = fields.text("zero_stage")
    if let digit = text.first?.wholeNumberValue, digit <= 3 { return digit }
    fields.note("zero_stage", "1")
    return 1
  }

  private static func sequenceParallel(_ fields: inout RowFields) -> Bool {
    switch fields.text("sp") {
    case "1", "true": return true
    case "": fields.note("sp", "0")
    default: break
    }
    return false
  }

  private static func schedule(
    _ fields: inout RowFields, devices: Int, microbatches: Int
  ) throws(Missing) -> PipelineSchedule {
    guard devices > 1 else { return .oneForwardOneBackward }
    let text = fields.text("pp_schedule").lowercased()
    let chunks = try fields.count("vpp") ?? 1
    let schedule: PipelineSchedule
    if text.contains("interleaved") {
      // Two chunks a device are the usual start.
      if chunks == 1, fields.text("vpp").isEmpty { fields.note("vpp", "2") }
      schedule = .interleaved(chunks: fields.text("vpp").isEmpty ? 2 : chunks, group: nil)
    } else if text.contains("dualpipe") {
      schedule = .dualPipe
    } else if text.contains("zb-h2") || text.contains("zero bubble 2") {
      schedule = .zeroBubbleH2
    } else if text.contains("zb") || text.contains("zero bubble") {
      schedule = .zeroBubbleH1
    } else if (text.contains("afab") || text.contains("gpipe")) && !text.contains("1f1b") {
      schedule = .allForwardAllBackward
    } else {
      if text.isEmpty { fields.note("pp_schedule", "1F1B") }
      schedule = chunks > 1 ? .interleaved(chunks: chunks, group: nil) : .oneForwardOneBackward
    }
    do {
      try schedule.check(devices: devices, microbatches: microbatches)
      return schedule
    } catch {
      fields.note("pp_schedule", "1F1B (\(error.description))")
      return .oneForwardOneBackward
    }
  }

  // MARK: Numbers and kernels

  private static func stack(_ fields: RowFields) -> SoftwareStack {
    let sharding = fields.text("zero_stage").lowercased()
    let precision = fields.text("precision").lowercased()
    if sharding.contains("fsdp2") { return SoftwareStack(.compiled) }
    if sharding.contains("fsdp") { return SoftwareStack(.eager) }
    if precision.contains("fp32 grad accumulation") { return SoftwareStack(.nanotron) }
    // A plain stage of sharding beside fused kernels is DeepSpeed's.
    let plainStage = sharding.count == 1 && sharding != "0"
    if fields.text("pp_schedule").contains("DeepSpeed") || sharding.contains("deepspeed") || plainStage {
      return SoftwareStack(.deepspeed)
    }
    // The distributed optimizer came with overlapped gradients.
    return SoftwareStack(.megatron, overlapsGradients: sharding.contains("distributed optimizer"))
  }

  private static func numbers(_ fields: inout RowFields, _ layout: JobLayout) -> JobNumbers {
    let text = fields.text("precision").lowercased()
    if text.isEmpty { fields.note("precision", "bf16") }
    let compute: JobNumbers.Compute =
      text.contains("fp8") || text.contains("float8") || text.contains("fp4")
      ? .fp8 : text.hasPrefix("fp16") ? .fp16 : text.hasPrefix("fp32") ? .fp32 : .bf16
    var numbers = JobNumbers(of: compute)
    if text.contains("fp32 grad accumulation") {
      (numbers.gradientBytes, numbers.gradientWireBytes) = (4, 4)
    }
    if text.contains("fsdp") {
      // Sharded float32 weights; gathered and reduced in the named types.
      numbers.weightBytes = 4
      numbers.gradientBytes = 4
      numbers.optimizerBytes = 8
      numbers.gradientWireBytes = text.contains("pure") ? 2 : 4
    }
    return numbers
  }

  private static func recomputation(_ fields: inout RowFields) -> JobRecomputation {
    let text = fields.text("recompute").lowercased()
    if text.isEmpty { fields.note("recompute", "none") }
    if text.hasPrefix("full") { return .full }
    if text.contains("every other layer") { return .everySecondLayer }
    if text.contains("op-level") { return .everySecondProduct }
    if text.hasPrefix("selective") { return .attention }
    return .none
  }

  private static func attention(
    _ fields: inout RowFields, _ stack: SoftwareStack, _ hardware: HardwareDescription
  ) -> AttentionKernel {
    switch fields.text("flash_attention") {
    case "0": return .unfused
    case "1": break
    default: fields.note("flash_attention", "1")
    }
    switch stack.name {
    case .eager, .deepspeed: return .flash1
    case .apus, .compiled, .nanotron: return .flash2
    case .megatron: return hardware.newestAttention
    }
  }
}
