extension PlanRequest {
  /// The sections of a configuration that ask for a choice, to paste. Values that are the default are left out.
  package func yaml(_ choice: Choice) -> String {
    var lines = ["layout:"]
    func add(_ key: String, _ value: Int, unless usual: Int = 1) {
      if value != usual { lines.append("  \(key): \(value)") }
    }
    add("data", choice.data)
    add("tensor", choice.tensor)
    add("context", choice.context)
    add("pipeline", choice.pipeline)
    add("expert", choice.expert)
    add("zero_stage", choice.zeroStage, unless: 0)
    if choice.zeroStage > 0, choice.shardDegree != choice.data { add("shard_degree", choice.shardDegree) }
    if choice.tensor > 1 {
      lines.append("  sequence_parallel: true")
      if !stack.keepsGathered(job(choice).layout) { lines.append("  keep_gathered_inputs: false") }
    }
    // Training runs no pipeline yet, so no configuration has a key for its schedule.
    if choice.pipeline > 1 { lines.append("  # schedule: \(choice.schedule.words)") }
    if lines.count == 1 { lines = ["layout: {}"] }
    lines.append("training:")
    lines.append("  micro_batch_size: \(choice.microBatch)")
    lines.append("  sequence_length: \(sequenceLength)")
    lines.append("  global_batch_tokens: \(globalBatchTokens)")
    switch numbers.policy {
    case .bf16: lines += ["  precision: bf16", "  gradient_precision: bf16"]
    case .bf16SummingInFloat32: lines.append("  precision: bf16")
    case .fp32: break
    default: lines.append("  precision: fp16")
    }
    if choice.recomputation != .none { lines.append("  recomputation: \(choice.recomputation.word)") }
    return lines.joined(separator: "\n") + "\n"
  }
}
