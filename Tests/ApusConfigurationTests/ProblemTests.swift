import ApusConfiguration
import Testing

/// The smallest complete file.
let minimal = """
  model: {preset: llama-small}
  data: {train: a.txt}
  training: {steps: 100}
  """

/// The lines of all problems; empty when the configuration is valid.
func problems(_ yaml: String, _ overrides: String...) -> [String] {
  do {
    _ = try Configuration.parse(yaml: yaml, name: "job.yaml", overrides: overrides)
    return []
  } catch {
    return error.problems.map(\.description)
  }
}

/// The problems of the minimal file with overrides.
func overrideProblems(_ overrides: String...) -> [String] {
  do {
    _ = try Configuration.parse(yaml: minimal, name: "job.yaml", overrides: overrides)
    return []
  } catch {
    return error.problems.map(\.description)
  }
}

@Suite struct ProblemTests {
  @Test func allProblemsAtOnceInTheOrderOfTheFile() {
    let yaml = """
      model:
        preset: llama-tinny
      data:
        train: [a.txt]
        shuffel: true
      training:
        steps: twenty
        learning_rate: -1
        gradient_clipp1ng: 1
        precision: bf32
        learning_rate: 2
      layout:
        pp: 0
      ouput: {}
      """
    #expect(
      problems(yaml, "training.stepz=20", "checkpoint.keep=0") == [
        #"job.yaml:2: model.preset: "llama-tinny" is not known; did you mean llama-tiny? valid are "#
          + "gpt2-124m, gpt2-350m, gpt2-774m, gpt2-1558m, llama-tiny, llama-small, llama-110m, llama-3.2-1b, llama-3.2-3b, "
          + "llama-3-8b, llama-3-70b, llama-3-405b, bench-1.34b, bench-3.57b, bench-8.86b or bench-80b",
        "job.yaml:5: data.shuffel: is an unknown key; did you mean shuffle?",
        #"job.yaml:7: training.steps: found the text "twenty", expected a whole number from 1 to 1000000000; "#
          + "write a whole number from 1 to 1000000000",
        "job.yaml:8: training.learning_rate: -1 is out of range; use a number above 0",
        "job.yaml:9: training.gradient_clipp1ng: is an unknown key; did you mean gradient_clip?",
        "job.yaml:10: training.precision: \"bf32\" is not known; did you mean fp32? valid are fp32, bf16 or fp16",
        "job.yaml:11: training.learning_rate: is written twice (first on line 8); keep one of the two",
        "job.yaml:13: layout.pp: 0 is out of range; use a whole number from 1 to 1048576",
        "job.yaml:14: ouput: is an unknown key; did you mean output?",
        "--set training.stepz: is an unknown key; did you mean steps?",
        "--set checkpoint.keep: 0 is out of range; use a whole number of 1 or more",
      ])
  }

  @Test func missingKeys() {
    #expect(
      problems("") == [
        "job.yaml: model.preset: the model is missing; write `preset: llama-tiny`, or family, layers, "
          + "hidden_size, heads and maximum_sequence_length",
        "job.yaml: data.train: is missing; write the files to train on, for example `train: [corpus/*.txt]`",
        "job.yaml: training.steps: is missing, and so is tokens; write one of them, for example `steps: 1000`",
      ])
    #expect(
      problems("model: {preset: llama-small}\ntraining: {steps: 1}", "data.seed=3") == [
        "job.yaml: data.train: is missing; write the files to train on, for example `train: [corpus/*.txt]`"
      ])
    let partial = problems("model: {family: gpt2, heads: 4}\ndata: {train: a}\ntraining: {steps: 1}")
    #expect(partial.count == 3)
    #expect(partial.allSatisfy { $0.contains("job.yaml:1: model.") && $0.contains("is missing") })
  }

  @Test(arguments: [
    (
      "training.steps=\"20\"",
      "--set training.steps: found the quoted text \"20\", expected a whole number "
        + "from 1 to 1000000000; remove the quotes"
    ),
    (
      "training.steps=1.5",
      "--set training.steps: found the number 1.5, expected a whole number from 1 to "
        + "1000000000; write a whole number from 1 to 1000000000"
    ),
    (
      "training.steps=[1]",
      "--set training.steps: found a list, expected a whole number from 1 to "
        + "1000000000; write a whole number from 1 to 1000000000"
    ),
    (
      "training.beta1=.nan",
      "--set training.beta1: found the text \".nan\", expected a number of at least 0 "
        + "and below 1; write a number of at least 0 and below 1"
    ),
    ("training.beta2=1", "--set training.beta2: 1 is out of range; use a number of at least 0 and below 1"),
    (
      "data.shuffle=yes",
      "--set data.shuffle: found the text \"yes\", expected true or false; write true or false"
    ),
    ("data.train={weight: 1}", "--set data.train.path: is missing; write the file or a glob"),
    (
      "data.train=[a, {path: b, weigth: 1}]",
      "--set data.train[1].weigth: is an unknown key; did you mean weight?"
    ),
    (
      "data.train=[[a]]",
      "--set data.train[0]: found a list, expected a path or a mapping with path; write a path"
    ),
    (
      "training.schedule=cosin",
      "--set training.schedule: \"cosin\" is not known; did you mean cosine? valid are "
        + "cosine, linear or constant"
    ),
    (
      "training.precision=fp64",
      "--set training.precision: \"fp64\" is not known; did you mean fp32? valid are fp32, bf16 or fp16"
    ),
    (
      "model=llama",
      "--set model: is no path of a key; write section and key with a dot between, as in "
        + "training.steps=20"
    ),
    ("training.steps", "--set training.steps: has no value; write it as --set training.steps=VALUE"),
    (
      "training.steps.more=1",
      "--set training.steps.more: goes through training.steps, which is a list or a "
        + "single value; set the whole of it, as in --set 'training.steps=[...]'"
    ),
    (
      "data.train=*all",
      "--set data.train: refers to *all; write the value itself, or quote a text that "
        + "begins with *"
    ),
    ("checkpoint.steps=3", "--set checkpoint.steps: is an unknown key; it belongs to the section training"),
  ])
  func oneBadOverride(text: String, line: String) {
    #expect(overrideProblems(text) == [line])
  }

  @Test func notYAML() {
    let lines = problems("model:\n  preset: [a\ntraining: {steps: 1}\n", "training.steps")
    #expect(lines.count == 2)
    #expect(lines[0].hasPrefix("job.yaml:3: is not valid YAML: "))
    #expect(lines[1].hasPrefix("--set training.steps: has no value"))
    #expect(
      problems("a: b\n---\nc: d\n").contains(
        "job.yaml:2: a second document begins here; keep one document a file"))
    #expect(
      problems("just text")[0] == "job.yaml:1: the file is the text \"just text\"; write a mapping, one "
        + "`key: value` a line")
    let tagged = problems(
      "model: !!str x\n" + minimal.split(separator: "\n").dropFirst().joined(separator: "\n"))
    #expect(tagged[0].hasPrefix("job.yaml:1: model: has the tag "))
  }

  @Test func problemsStayOnOneLine() {
    let lines = problems(minimal + "\noutput: {log_every: \"a\\r\\nb\"}")
    #expect(lines.count == 1 && lines[0].contains("\"a\\u{d}\\nb\""))
  }
}
