/// What a user or a machine can get wrong around a training run.
package enum TrainingError: Error, CustomStringConvertible, Hashable, Sendable {
  /// A run folder that already holds a run, or none to resume.
  case runFolder(path: String, problem: String)
  /// A folder that should hold a model but does not.
  case noModel(path: String, problem: String)
  /// The data does not fit the model or the run.
  case data(String)
  /// A file of the run folder could not be written.
  case writing(path: String, reason: String)

  package var description: String {
    switch self {
    case .runFolder(let path, let problem), .noModel(let path, let problem): "\(path): \(problem)"
    case .data(let problem): problem
    case .writing(let path, let reason): "cannot write \(path): \(reason)"
    }
  }
}
