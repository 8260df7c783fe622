"""Trains the model of talk that the checks ask (`lrs2m_builder/checks/talk/`); outside the package, needs scikit-learn."""
