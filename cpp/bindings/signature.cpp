#include "signature.h"

#include <pybind11/stl.h>

#include <algorithm>

#include "arguments.h"
#include "python_calls.h"

namespace mpsmnist::bindings {
namespace {

std::string join(const std::vector<std::string>& parts) {
  std::string joined;
  for (const std::string& part : parts) joined += (joined.empty() ? "" : ", ") + part;
  return joined;
}

/// "lr" for "learning_rate".
std::string initials(const std::string& name) {
  std::string letters;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '_' && (i == 0 || name[i - 1] == '_')) letters += name[i];
  }
  return letters;
}

/// The one of `names` that `word` may have been meant to be, or "".
std::string closest(const std::string& word, const std::vector<std::string>& names) {
  const auto abbreviated = std::find_if(
      names.begin(), names.end(), [&](const std::string& name) { return name == word || initials(name) == word; });
  if (abbreviated != names.end()) return *abbreviated;
  const py::list matches = call(get_attribute(import_module("difflib"), "get_close_matches"), word, names, 1);
  return matches.empty() ? "" : matches[0].cast<std::string>();
}

}  // namespace

std::string Signature::list(const std::string& first) const {
  std::vector<std::string> parts;
  if (!first.empty()) parts.push_back(first);
  bool keyword_only = false;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    if (parameter.keyword_only && !keyword_only) parts.push_back("*");
    keyword_only = parameter.keyword_only;
    parts.push_back(parameter.name + (parameter.default_text.empty() ? "" : "=" + parameter.default_text));
    if (i + 1 == positional_only_) parts.push_back("/");
  }
  return "(" + join(parts) + ")";
}

std::string Signature::doc(const std::string& name, const std::string& first) const {
  return name + list(first) + "\n--\n\n" + docstring_;
}

void Signature::refuse(const std::string& problem) const {
  throw py::type_error(name_ + "(): " + problem + "; expected " + name_ + list());
}

void Signature::refuse(const py::args& args, const py::kwargs& kwargs) const {
  std::vector<std::string> positional, keywords;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].keyword_only) positional.push_back(parameters_[i].name);
    if (i >= positional_only_) keywords.push_back(parameters_[i].name);
  }
  const std::vector<std::string> given(positional.data(), positional.data() + std::min(args.size(), positional.size()));
  for (const auto& [key, value] : kwargs) {
    const std::string keyword = utf8(key);
    if (std::find(keywords.begin(), keywords.end(), keyword) == keywords.end()) {
      const std::string meant = closest(keyword, keywords);
      if (meant.empty()) refuse("no argument is called " + keyword);
      throw py::type_error(name_ + "(): no argument is called " + keyword + "; did you mean " + meant + "?");
    }
    if (std::find(given.begin(), given.end(), keyword) != given.end()) refuse(keyword + " is given twice");
  }
  if (args.size() > positional.size()) {
    refuse("more than " + std::to_string(positional.size()) + " arguments by position");
  }
  for (std::size_t i = args.size(); i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    if (parameter.default_text.empty() && !kwargs.contains(parameter.name)) refuse(parameter.name + " is missing");
  }
  refuse("arguments that do not fit");
}

}  // namespace mpsmnist::bindings
