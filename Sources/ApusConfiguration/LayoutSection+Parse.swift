import ApusModels

extension LayoutSection {
  /// Reads a layout from the text of an option, such as `{data: 2, zero_stage: 1}`, for a model and a sequence
  /// length.
  ///
  /// - Throws: everything that is wrong with it.
  package static func parse(
    _ yaml: String, model: ModelConfiguration, sequenceLength: Int
  ) throws(ConfigurationError) -> LayoutSection {
    var reader = try SectionReader.document(yaml: yaml, name: "--layout")
    let layout = LayoutSection(reading: &reader)
    layout.check(ModelSection(shape: model), sequenceLength: sequenceLength, in: &reader)
    try reader.checkAll()
    return layout
  }
}
