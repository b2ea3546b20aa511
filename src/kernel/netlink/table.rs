//! Attributes as a table: one row each, for reading and for writing.

/// Declares a struct of optional attributes. Those under `shown` are never written: the kernel
/// ignores or refuses them.
macro_rules! attributes {
    (
        $(#[$about:meta])*
        $name:ident {
            $($(#[$note:meta])* $field:ident: $type:ty = $number:literal,)*
        }
        $(shown { $($(#[$shown_note:meta])* $shown:ident: $shown_type:ty = $shown_number:literal,)* })?
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$note])* pub $field: Option<$type>,)*
            $($($(#[$shown_note])* pub $shown: Option<$shown_type>,)*)?
        }

        impl $name {
            /// Reads what is there; unknown attributes and odd lengths are left out.
            pub fn read(attrs: $crate::kernel::netlink::Attrs<'_>) -> Self {
                let mut read = Self::default();
                for attr in attrs {
                    match attr.kind {
                        $($number => read.$field = attr.get(),)*
                        $($($shown_number => read.$shown = attr.get(),)*)?
                        _ => {}
                    }
                }
                read
            }

            /// Writes what is set.
            pub fn write(&self, writer: &mut $crate::kernel::netlink::Writer<'_>) {
                let Self { $($field,)* $($($shown: _,)*)? } = self;
                $(writer.put_some($number, $field.as_ref());)*
            }

            /// Leaves only what is set here and is not the same in `before`.
            #[must_use]
            pub fn changed_from(&self, before: &Self) -> Self {
                let mut changed = Self::default();
                $(if self.$field != before.$field {
                    changed.$field.clone_from(&self.$field);
                })*
                changed
            }

            /// Takes from `other` what is not set here.
            #[must_use]
            pub fn or(mut self, other: &Self) -> Self {
                $(if self.$field.is_none() {
                    self.$field.clone_from(&other.$field);
                })*
                self
            }

            /// Leaves only what is also set in `other`, whatever its value.
            #[must_use]
            pub fn only_set_in(mut self, other: &Self) -> Self {
                $(if other.$field.is_none() {
                    self.$field = None;
                })*
                self
            }

            /// Leaves only what is not set in `other`.
            #[must_use]
            pub fn except(mut self, other: &Self) -> Self {
                $(if other.$field.is_some() {
                    self.$field = None;
                })*
                self
            }
        }

        /// What is set, as `mode 4, miimon 100`.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut separator = "";
                $(if let Some(value) = &self.$field {
                    write!(f, "{separator}{} {value:?}", stringify!($field))?;
                    separator = ", ";
                })*
                let _ = separator;
                Ok(())
            }
        }
    };
}
