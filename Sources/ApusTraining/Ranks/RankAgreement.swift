import ApusCommunication
import ApusConfiguration

/// What processes that a launcher started tell each other before they begin: each reads the configuration by
/// itself, and all must have read the same.
package enum RankAgreement {
  /// Gives the configuration if every rank has it; otherwise every rank throws the same error.
  ///
  /// - Parameter own: what this rank read, or why it could not.
  package static func check(
    _ own: Result<Configuration, any Error>, _ world: any World
  ) throws -> Configuration {
    let statements = try world.control.allGather(
      bytes: Array(statement(own).utf8), label: "the configurations"
    ).map { String(decoding: $0, as: UTF8.self) }
    if let own = try? own.get(), statements.allSatisfy({ $0 == statements[0] }) {
      let ranks = own.layout.ranks
      guard ranks.worldSize == world.size else {
        throw CommunicationError.launch(
          "the layout has \(ranks.worldSize) ranks (data \(ranks.data) x tensor \(ranks.tensor)), but "
            + "\(world.size) processes were started; start \(ranks.worldSize), or change layout")
      }
      return own
    }
    if case .failure(let error) = own, statements.allSatisfy({ $0 == statements[0] }) { throw error }
    // The first rank is right by definition, unless it is the one that could not read.
    let other = statements.indices.first { statements[$0] != statements[0] } ?? 0
    let culprit = statements[0].hasPrefix(failed) ? 0 : other
    guard !statements[culprit].hasPrefix(failed) else {
      throw CommunicationError.launch("rank \(culprit): \(statements[culprit].dropFirst(failed.count))")
    }
    throw CommunicationError.launch(
      "rank \(other) has another configuration than rank 0 (\(difference(statements[0], statements[other]))); "
        + "give all ranks the same file and the same options")
  }

  private static let failed = "cannot read its configuration: "

  private static func statement(_ own: Result<Configuration, any Error>) -> String {
    switch own {
    case .success(let configuration): configuration.resolvedYAML
    case .failure(let error): failed + "\(error)"
    }
  }

  /// The first line that differs.
  private static func difference(_ a: String, _ b: String) -> String {
    let lines = zip(a.split(separator: "\n"), b.split(separator: "\n"))
    guard let (here, there) = lines.first(where: { $0 != $1 }) else { return "one is longer" }
    return "\(there.trimmed) instead of \(here.trimmed)"
  }
}

extension Substring {
  fileprivate var trimmed: String { String(drop { $0 == " " }) }
}
