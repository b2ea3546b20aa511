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
        }
    };
}
