import ApusCommunication
import ApusConfiguration

/// What ranks tell each other before they begin: each reads configuration and data by itself, and all must have
/// the same program, command, configuration, folder and data.
package enum RankAgreement {
  /// Gives the configuration if every rank has it; otherwise every rank throws the same error.
  ///
  /// - Parameters:
  ///   - own: what this rank read, or why it could not.
  ///   - start: what it is to do with the run folder.
  package static func check(
    _ own: Result<Configuration, any Error>, _ start: RunFolder.Start, _ world: any World
  ) throws -> Configuration {
    try checkSame(
      ProgramIdentity.text, "is another build of apus", "install the same one for all ranks", world)
    try checkSame(
      "\(start)", "was started with other options", "start all with the same of --resume and --overwrite",
      world)
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

  /// Throws on every rank where not all say the same.
  ///
  /// - Parameters:
  ///   - statement: what this rank has.
  ///   - difference: what is said of a rank that has something else.
  static func checkSame(
    _ statement: String, _ difference: String, _ remedy: String, _ world: any World
  ) throws(CommunicationError) {
    let all = try world.control.allGather(bytes: Array(statement.utf8), label: "what all ranks must have")
    guard let other = all.firstIndex(where: { $0 != all[0] }) else { return }
    // Another build may say anything here: one line of it is enough.
    let texts = [all[other], all[0]].map { bytes in
      String(String(decoding: bytes, as: UTF8.self).prefix { $0 != "\n" }.prefix(100))
    }
    throw .launch(
      "rank \(other) \(difference) (\(texts[0])) than rank 0 (\(texts[1])); \(remedy)")
  }

  /// Throws on every rank where not all see the run folder that the first one has prepared.
  ///
  /// - Parameter claim: the first rank's.
  static func checkFolder(_ folder: RunFolder, _ claim: RunClaim?, _ world: any World) throws {
    guard world.size > 1 else { return }
    let own = claim == nil ? "" : String(UInt64.random(in: .min ... .max), radix: 36)
    claim?.mark(own)
    let mark = String(
      decoding: try world.control.broadcast(bytes: Array(own.utf8), label: "the run folder's mark"),
      as: UTF8.self)
    let found = (try? String(contentsOf: folder.lock, encoding: .utf8)) == mark
    let all = try world.control.allGather([Int32(found ? 1 : 0)], label: "the run folder")
    guard let other = all.firstIndex(where: { $0[0] == 0 }) else { return }
    throw CommunicationError.launch(
      "rank \(other) does not see the run folder of rank 0 at \(folder.url.path); put output.folder on a file "
        + "system that all ranks share")
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
