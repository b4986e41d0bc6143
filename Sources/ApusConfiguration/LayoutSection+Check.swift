import ApusCore
import ApusModels

extension LayoutSection {
  /// Notes options that are written although nothing can follow from them.
  func refuseWhatHasNoEffect(in reader: inout SectionReader) {
    guard reader.isGood("data", "dp", "tensor", "tp", "zero_stage", "zero") else { return }
    if ranks.data * ranks.context == 1 {
      let zero = reader.has("zero_stage") ? "zero_stage" : "zero"
      if ranks.zeroStage > 0 {
        reader.report(
          zero, "ZeRO stage \(ranks.zeroStage) shards over replicas, and there is one",
          "use a data degree above 1, or stage 0")
      }
      for key in ["shard_degree", "gradient_synchronisation", "bucket_mib", "prefetched_units"] {
        reader.refuse(
          key, because: "has no effect with one replica", "use a data degree above 1, or remove it")
      }
    } else {
      if ranks.zeroStage == 0 {
        reader.refuse(
          "shard_degree", because: "shards nothing at ZeRO stage 0", "use zero_stage 1, 2 or 3, or remove it")
      }
      if !mergesUnits {
        reader.refuse(
          "bucket_mib",
          because: ranks.zeroStage == 3
            ? "has no effect: ZeRO-3 keeps units apart"
            : "has no effect: naive synchronisation sums each tensor by itself")
      }
      if !prefetches {
        reader.refuse(
          "prefetched_units",
          because: "has no effect without zero_stage 2 or 3 and gradient_synchronisation overlapped")
      }
    }
    if ranks.tensor == 1, ranks.sequenceParallel {
      reader.report(
        "sequence_parallel", "divides what tensor-parallel ranks hold whole, and there is one",
        "use a tensor degree above 1, or false")
    }
    if !ranks.sequenceParallel {
      reader.refuse(
        "keep_gathered_inputs", because: "has no effect without sequence_parallel",
        "set sequence_parallel to true, or remove it")
    }
    if let degree = ranks.shardDegree, ranks.zeroStage > 0, !ranks.data.isMultiple(of: degree) {
      reader.report(
        "shard_degree", "\(degree) does not divide \(ranks.data) replicas",
        "use \(alternatives(divisors(of: ranks.data).map(String.init)))")
    }
  }

  /// Notes degrees that do not divide what they share.
  func check(_ model: ModelSection, sequenceLength: Int?, in reader: inout SectionReader) {
    let tensorKey = reader.has("tensor") ? "tensor" : "tp"
    if let shape = model.shape {
      if let problem = shape.tensorDegreeProblem(ranks.tensor) {
        reader.report(tensorKey, problem.message, problem.remedy)
      }
      if ranks.pipeline > shape.layerCount {
        reader.report(
          reader.has("pipeline") ? "pipeline" : "pp",
          "pipeline parallel degree \(ranks.pipeline) exceeds \(shape.layerCount) layers",
          "use at most \(shape.layerCount)")
      }
    }
    if let shape = model.shape { checkExperts(shape, in: &reader) }
    guard let sequenceLength else { return }
    if ranks.context > 1, !sequenceLength.isMultiple(of: 2 * ranks.context) {
      let (below, above) = multiples(of: 2 * ranks.context, around: sequenceLength)
      reader.report(
        reader.has("context") ? "context" : "cp",
        "context parallel degree \(ranks.context) takes two equal pieces of each sequence for a rank, and "
          + "\(2 * ranks.context) does not divide the sequence length \(sequenceLength)",
        "use a sequence length of \(below > 0 ? "\(below) or \(above)" : "\(above)")")
    }
    let divisor = ranks.tensor * ranks.context
    if ranks.sequenceParallel, !sequenceLength.isMultiple(of: divisor) {
      let (below, above) = multiples(of: divisor, around: sequenceLength)
      reader.report(
        "sequence_parallel",
        "tensor parallel degree \(ranks.tensor)\(ranks.context > 1 ? " times context \(ranks.context)" : "") does "
          + "not divide the sequence length \(sequenceLength)",
        "use a sequence length of \(below > 0 ? "\(below) or \(above)" : "\(above)")")
    }
  }
}

extension LayoutSection {
  /// Notes what a mixture of experts asks of its layout, and what a model without one cannot have.
  private func checkExperts(_ shape: ModelConfiguration, in reader: inout SectionReader) {
    let key = reader.has("expert") ? "expert" : "ep"
    guard let experts = shape.experts else {
      if ranks.expert > 1 {
        reader.report(
          key, "expert parallel degree \(ranks.expert) shares out experts, and the model has none", "use 1")
      }
      return
    }
    let fitting = divisors(of: experts.count).filter { ranks.data.isMultiple(of: $0) }
    if !fitting.contains(ranks.expert) {
      reader.report(
        key,
        "expert parallel degree \(ranks.expert) does not divide \(experts.count) experts and \(ranks.data) "
          + "replicas", "use \(alternatives(fitting.map(String.init)))")
    }
    if ranks.tensor > 1, !ranks.sequenceParallel {
      reader.report(
        "sequence_parallel", "tensor parallel ranks would send the same tokens to the experts",
        "set it to true, or use a tensor degree of 1")
    }
    if ranks.expert > 1, ranks.shardDegree != nil {
      reader.report(
        "shard_degree", "groups of shards and expert parallel ranks divide the same replicas",
        "remove it, or use expert 1")
    }
  }
}

extension ModelConfiguration {
  /// Why a tensor degree does not suit this model, and which do; nil where it does.
  ///
  /// It must divide the heads and the intermediate size. Key-value heads are divided, or copied where there are
  /// more ranks than heads, so that one of the two numbers must divide the other.
  package func tensorDegreeProblem(_ degree: Int) -> (message: String, remedy: String)? {
    func suits(_ degree: Int) -> Bool {
      headCount.isMultiple(of: degree) && intermediateSize.isMultiple(of: degree)
        && (keyValueHeadCount.isMultiple(of: degree) || degree.isMultiple(of: keyValueHeadCount))
    }
    guard !suits(degree) else { return nil }
    let remedy = "use \(alternatives(divisors(of: headCount).filter(suits).map(String.init)))"
    if !headCount.isMultiple(of: degree) {
      return ("tensor parallel degree \(degree) does not divide \(headCount) heads", remedy)
    }
    if !intermediateSize.isMultiple(of: degree) {
      return (
        "tensor parallel degree \(degree) does not divide the intermediate size \(intermediateSize)", remedy
      )
    }
    return (
      "tensor parallel degree \(degree) and \(keyValueHeadCount) key-value heads do not divide each other",
      remedy
    )
  }
}
