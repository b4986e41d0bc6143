import ApusModels

extension RowReading {
  /// The experts of a row's model; nil where it is dense.
  ///
  /// They are named in the columns `experts` and `active_experts`, in the words of `mlp`, or follow from `params_b`:
  /// a model of more than twice the parameters of its dense shape has as many blocks as make up for them. A token
  /// visits 2 where nothing says how many.
  static func experts(
    _ fields: inout RowFields, _ model: ModelConfiguration, _ layout: JobLayout
  ) throws(Missing) -> ExpertShape? {
    let words = ExpertText(fields.text("mlp"))
    let dense = ParameterCount(model)
    let missing = fields.positive("params_b").map { $0 * 1e9 - Double(dense.total) } ?? 0
    let derived = Int(min(16_384, max(0, missing / Double(dense.feedForward))).rounded()) + 1
    let count: Int
    if let written = try fields.count("experts") ?? words.count {
      count = min(written, 16_384)
    } else if words.speaks || layout.expert > 1 || derived > 2 {
      count = max(derived, layout.expert, 2)
      fields.note("experts", "\(count)")
    } else {
      return nil
    }
    guard count > 1 else { return nil }
    let active: Int
    if let written = try fields.count("active_experts") ?? words.active {
      active = max(1, written)
    } else {
      active = 2
      fields.note("active_experts", "2")
    }
    let replicas = layout.data * layout.context * layout.tensor
    guard replicas.isMultiple(of: layout.expert), layout.expert <= count else {
      throw Missing(
        description: "ep \(layout.expert) shares out neither \(count) experts nor dp x cp x tp = \(replicas)")
    }
    return ExpertShape(
      count: count, active: active, intermediateSize: model.intermediateSize,
      sharedSize: min(64, words.shared ?? 0) * model.intermediateSize)
  }
}
