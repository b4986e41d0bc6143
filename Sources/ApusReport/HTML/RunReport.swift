/// What a report page tells about a run besides its metrics. Plain data; nothing in it is trusted as
/// HTML, every text is escaped.
package struct RunReport: Codable, Hashable, Sendable {
  /// The page's title, as a rule the name of the run's folder.
  package var name: String
  /// How the run stands: `finished`, `stopped at step 812: loss is not finite`.
  package var status: String
  /// When it started, as a person reads it.
  package var started: String
  /// What is trained: `GPT-2, 12 layers, hidden size 768`.
  package var model: String
  package var parameterCount: Int
  /// The command line that started it.
  package var command: String
  /// The resolved configuration.
  package var configurationYAML: String
  /// Processor, memory, ranks ... in order.
  package var machine: [Fact]
  /// Versions of the program, the compiler, the libraries.
  package var versions: [Fact]
  /// Lines to compare the loss with, in nats per token: what gzip reaches on the same text, say.
  package var referenceLosses: [ReferenceLoss]
  package var memory: Memory?
  /// Text that the model wrote.
  package var samples: [Sample]
  /// What a reader must know: that utilisation counts causal attention as half, say.
  package var notes: [String]

  package init(
    name: String, status: String, started: String, model: String, parameterCount: Int, command: String,
    configurationYAML: String, machine: [Fact] = [], versions: [Fact] = [],
    referenceLosses: [ReferenceLoss] = [], memory: Memory? = nil, samples: [Sample] = [],
    notes: [String] = []
  ) {
    self.name = name
    self.status = status
    self.started = started
    self.model = model
    self.parameterCount = parameterCount
    self.command = command
    self.configurationYAML = configurationYAML
    self.machine = machine
    self.versions = versions
    self.referenceLosses = referenceLosses
    self.memory = memory
    self.samples = samples
    self.notes = notes
  }

  /// A name and what it stands for, a row of a small table.
  package struct Fact: Codable, Hashable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  package struct ReferenceLoss: Codable, Hashable, Sendable {
    package var label: String
    /// Nats per token.
    package var loss: Double

    package init(label: String, loss: Double) {
      self.label = label
      self.loss = loss
    }
  }

  package struct Sample: Codable, Hashable, Sendable {
    package var prompt: String
    /// What followed, without the prompt.
    package var continuation: String

    package init(prompt: String, continuation: String) {
      self.prompt = prompt
      self.continuation = continuation
    }
  }
}
