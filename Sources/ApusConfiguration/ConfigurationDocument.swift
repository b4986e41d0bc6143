/// Reads all sections of one document in the order in which they depend on each other.
struct ConfigurationDocument {
  /// Without meaning when there are problems.
  let configuration: Configuration
  let problems: [Problem]
  let knownKeys: [(section: String, keys: [String])]

  /// - Parameter stem: the configuration's name without folder and extension.
  init(root: YAMLNode, file: String, stem: String) {
    var document = SectionReader(path: "", node: root, file: file)
    func section(_ name: String) -> SectionReader {
      SectionReader(path: name, node: document.node(name), file: file)
    }
    var readers = [
      section("model"), section("data"), section("training"), section("layout"), section("checkpoint"),
      section("output"),
    ]

    let model = ModelSection(reading: &readers[0])
    let modelIsGood = readers[0].problems.isEmpty
    let data = DataSection(reading: &readers[1], model: model, modelIsGood: modelIsGood)
    let layout = LayoutSection(reading: &readers[3])
    // A degree that is only refused for today is known; one that could not be read is not.
    let dataDegreeIsKnown = readers[3].isGood("data", "dp") || layout.ranks.data != 1
    let training = TrainingSection(
      reading: &readers[2],
      TrainingSection.Surroundings(
        maximumSequenceLength: readers[0].isGood("maximum_sequence_length", "preset", "from")
          ? model.shape?.maximumSequenceLength : nil,
        layerCount: modelIsGood ? model.shape?.layerCount : nil,
        hasDropout: modelIsGood ? model.shape.map { $0.family == .gpt2 } : nil,
        replicas: dataDegreeIsKnown ? layout.ranks.data : nil,
        hasValidation: data.hasValidation || !readers[1].isGood("validation", "validation_fraction")))
    layout.check(
      modelIsGood ? model : ModelSection(),
      sequenceLength: readers[2].isGood("sequence_length") ? training.sequenceLength : nil, in: &readers[3])
    configuration = Configuration(
      model: model, data: data, training: training, layout: layout,
      checkpoint: CheckpointSection(reading: &readers[4]),
      output: OutputSection(reading: &readers[5], defaultFolder: "runs/\(stem)"))

    var owners: [String: [String]] = [:]
    for reader in readers {
      for key in reader.known { owners[key, default: []].append(reader.path) }
    }
    document.reportUnknownKeys(owners: owners)
    for index in readers.indices { readers[index].reportUnknownKeys(owners: owners) }
    problems = document.problems + readers.flatMap(\.problems)
    knownKeys = readers.map { ($0.path, $0.known) }
  }
}
