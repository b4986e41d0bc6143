import ApusCommunication
import ApusConfiguration
import ApusRuntime
import Foundation

extension CommandTable {
  /// Runs what the words ask for and returns the exit status.
  ///
  /// 0: done. 2: a mistake on the command line, in a configuration or in how ranks were started. 3: the memory
  /// does not suffice. 1: anything else. Errors go to standard error, one `apus: ...` line each.
  package func run(_ words: [String]) -> Int32 {
    do {
      switch try request(for: words) {
      case .help(let text): try print(text, terminator: "")
      case .run(let command, let arguments): try command.run(arguments)
      }
      return 0
    } catch let status as ExitStatus {
      return status.code
    } catch {
      writeError(error)
      if let failure = error as? RuntimeFailure, failure.isOfMemory { return ExitStatus.memory.code }
      return isUsersMistake(error) ? ExitStatus.usage.code : 1
    }
  }

  private func isUsersMistake(_ error: any Error) -> Bool {
    if let error = error as? CommunicationError, case .launch = error { return true }
    return error is UsageError || error is ConfigurationError
  }

  /// One line a problem, each with the program's name.
  private func writeError(_ error: any Error) {
    let lines = "\(error)".split(separator: "\n").map { "\(program): \($0)\n" }.joined()
    FileHandle.standardError.write(Data(lines.utf8))
  }
}
